package send_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
)

func TestFanOut_QueuesNoMoreAttemptsThanItsProcessCanSendSoon(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	b := newBundle(t, 1, func(http.ResponseWriter, *http.Request) { <-hang })
	defer release()
	inputs := make([]*send.Input, 20)
	for i := range inputs {
		inputs[i] = b.input()
	}
	done := make(chan error, 1)
	go func() { done <- b.All(t.Context(), callbacks.JobRef{Share: "acme"}, nil, inputs, nil) }()

	require.Eventually(t, func() bool { return b.Slots.FanOuts.Admitted() == slots.AdmittedPerRequest-1 }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, b.Slots.Limiter.Endpoints(), slots.AdmittedPerRequest)
	release()
	require.NoError(t, <-done)
	require.Zero(t, b.Slots.FanOuts.Admitted())
	require.Len(t, b.recorded, len(inputs))
}
