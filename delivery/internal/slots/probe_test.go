package slots

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestProbes_OneDeliveryIsTheProbe(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	probes := &Probes{Limiter: newLimiter(8), Store: store.Frequent(pool, "riverhook")}
	key := held(t, pool, 0)
	target := func() *attempt.Target {
		return &attempt.Target{
			ID:    uuid.New(),
			Epoch: 1,
			Sub: attempt.Subscription{
				ID:         key.SubscriptionID,
				URLVersion: 1,
				Epoch:      1,
			},
			Endpoint: attempt.Endpoint{Trial: true},
		}
	}
	closed := target()
	require.Nil(t, probes.Claim(t.Context(), closed, time.Second))
	require.False(t, closed.Trial, "its circuit is closed")

	_, err := pool.Exec(t.Context(), `INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened)
		VALUES ($1, 1, now() - interval '1 s', 3)`, key.SubscriptionID)
	require.NoError(t, err)
	first, second := target(), target()
	require.Nil(t, probes.Claim(t.Context(), first, time.Second))
	require.True(t, first.Probe)
	require.Equal(t, 3, first.CircuitOpened)
	held := probes.Claim(t.Context(), second, time.Second)
	require.Equal(t, attempt.HoldCircuit, held.Hold)
	require.False(t, second.Probe)
	require.Nil(t, probes.Claim(t.Context(), first, time.Second), "its claim stays its own")
}
