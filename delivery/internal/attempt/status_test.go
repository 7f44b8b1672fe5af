package attempt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClassify_EachStatusHasItsOutcome(t *testing.T) {
	t.Parallel()
	want := func(status int) Outcome {
		switch {
		case status < 200 || status > 599:
			return OutcomeFailed
		case status < 300:
			return OutcomeDelivered
		case status < 400:
			return OutcomeRedirected
		case status == 410:
			return OutcomeGone
		case status == 429 || status == 502 || status == 503 || status == 504:
			return OutcomeThrottled
		case status < 500:
			return OutcomeRejected
		default:
			return OutcomeFailed
		}
	}

	for status := 1; status <= 999; status++ {
		v := Classify(status, false)
		require.Equal(t, want(status), v.Outcome, "%d", status)
		require.Equal(t, status < 200 || status > 599, v.Class == ClassProtocol, "%d", status)
	}
}

func TestClassify_RetryAfterComesWithAnyStatusAndThrottlesAFailure(t *testing.T) {
	t.Parallel()

	for status, want := range map[int]Outcome{
		200: OutcomeDelivered, 202: OutcomeDelivered, 301: OutcomeRedirected, 404: OutcomeThrottled, 410: OutcomeGone,
		413: OutcomeThrottled, 429: OutcomeThrottled, 500: OutcomeThrottled, 503: OutcomeThrottled,
	} {
		named, _ := RetryAfter(status, retryAfterHeader("120"), now, time.Hour)
		require.Equal(t, 2*time.Minute, named, "%d", status)
		require.Equal(t, want, Classify(status, named > 0).Outcome, "%d", status)
	}
	for _, value := range []string{"0", "soon", "Sun, 01 Mar 2026 11:59:59 GMT"} {
		named, _ := RetryAfter(500, retryAfterHeader(value), now, time.Hour)
		require.Equal(t, OutcomeFailed, Classify(500, named > 0).Outcome, value)
	}
}
