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
