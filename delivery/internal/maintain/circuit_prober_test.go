package maintain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCircuitProber_MakesOneDeliveryDueAfterThePause(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sub := db.subscribe()
	db.hold(sub, 3, "circuit")
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened)
		VALUES ($1, 1, now() + interval '1 h', 1)`, sub)
	r := db.heldReleaser(3)

	n, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "the circuit is open")
	db.exec(`UPDATE riverhook.subscription_health SET circuit_until = now()`)
	n, err = r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'circuit'`))
	n, err = r.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "while the first one tries, no other does")
}

// An endpoint whose rate is used up is not tried before its time: the probe could not go out.
func TestCircuitProber_WaitsForTheRate(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sub := db.subscribe()
	db.exec(`UPDATE riverhook.subscription SET rate_events = 2, rate_per_ms = 3600000, rate_burst = 2 WHERE id = $1`, sub)
	db.exec(`INSERT INTO riverhook.rate (key, taken_until) VALUES ('s' || $1::uuid, now() + interval '1 h')`, sub)
	db.hold(sub, 3, "circuit")
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened)
		VALUES ($1, 1, now(), 1)`, sub)
	r := db.heldReleaser(3)

	n, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	db.exec(`UPDATE riverhook.rate SET taken_until = taken_until - interval '30 min'`)
	n, err = r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
