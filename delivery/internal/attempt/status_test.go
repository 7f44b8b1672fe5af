package attempt

import (
	"net/http"
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
		v := Classify(status, http.Header{}, now, 0)
		require.Equal(t, want(status), v.Outcome, "%d", status)
		require.Equal(t, status, v.Status)
		require.Zero(t, v.RetryAfter)
		require.Equal(t, status < 200 || status > 599, v.Class == ClassProtocol, "%d", status)
	}
}

func TestClassify_RetryAfterComesWithAnyStatusAndThrottlesAFailure(t *testing.T) {
	t.Parallel()

	for status, want := range map[int]Outcome{
		200: OutcomeDelivered, 202: OutcomeDelivered, 301: OutcomeRedirected, 404: OutcomeThrottled, 410: OutcomeGone,
		413: OutcomeThrottled, 429: OutcomeThrottled, 500: OutcomeThrottled, 503: OutcomeThrottled,
	} {
		v := Classify(status, retryAfterHeader("120"), now, time.Hour)
		require.Equal(t, want, v.Outcome, "%d", status)
		require.Equal(t, 2*time.Minute, v.RetryAfter, "%d", status)
	}
	for _, value := range []string{"0", "soon", "Sun, 01 Mar 2026 11:59:59 GMT"} {
		require.Equal(t, OutcomeFailed, Classify(500, retryAfterHeader(value), now, time.Hour).Outcome, value)
	}
}
