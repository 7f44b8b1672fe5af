package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

func TestHeldExpirer_EndsWhatIsHeldForTooLong(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sub := db.subscribe()
	db.hold(sub, 2, "paused")
	db.exec(`UPDATE riverhook.delivery SET held_since = now() - interval '2 h'`)
	db.hold(sub, 1, "paused")

	x := HeldExpirer{
		MaxHold: time.Hour,
		Pace:    Rounds,
		Store:   store.Frequent(db, "riverhook"),
	}
	n, err := x.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'expired'`))
}
