package delivery

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

func TestAFanOutQueuesNoMoreAttemptsThanItsEngineCanSendSoon(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	r := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer r.Close()
	defer release()
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	require.NoError(t, err)
	e, err := New(pgtest.Pool(t), &Config{
		Egress:      policy,
		MaxInFlight: 1,
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	intent := uuid.New()
	targets := make([]*target, 20)
	for i := range targets {
		targets[i] = &target{Target: attempt.Target{
			ID:       uuid.New(),
			IntentID: intent,
			Dialect:  "plain",
			Message:  dialect.Message{Body: []byte("{}")},
			State:    attempt.StatePending,
		}}
		targets[i].Sub.ID = uuid.New()
		targets[i].Sub.URL = r.URL
		targets[i].Sub.Operator = true
		targets[i].ReadAt = time.Now().Add(time.Minute) // it is in no table that could be read again
	}
	done := make(chan error, 1)
	go func() { done <- e.attemptAll(t.Context(), callbacks.JobRef{}, targets, nil) }()

	require.Eventually(t, func() bool { return e.fanOuts.Admitted() == slots.AdmittedPerRequest }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, e.limiter.Endpoints(), slots.AdmittedPerRequest)
	release()
	require.NoError(t, <-done)
	require.Zero(t, e.fanOuts.Admitted())
}
