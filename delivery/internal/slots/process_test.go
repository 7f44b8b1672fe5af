package slots

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestProcess_HasNoMoreRequestsInFlightThanSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewProcess(2)
		first, ok := p.Acquire(t.Context())
		require.True(t, ok)
		_, ok = p.Acquire(t.Context())
		require.True(t, ok)

		third := make(chan bool, 1)
		go func() {
			_, ok := p.Acquire(t.Context())
			third <- ok
		}()
		synctest.Wait()
		require.Empty(t, third)
		first()
		require.True(t, <-third)
	})
}

func TestProcess_NoSlotAfterTheContextHasEnded(t *testing.T) {
	t.Parallel()
	p := NewProcess(1)
	leave, ok := p.Acquire(t.Context())
	require.True(t, ok)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, ok = p.Acquire(ctx)
	require.False(t, ok)
	leave()
	_, ok = p.Acquire(t.Context())
	require.True(t, ok, "the wait that ended took no slot")
}
