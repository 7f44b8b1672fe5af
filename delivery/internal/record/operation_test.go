package record

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestAnnounce_WritesNothingThatNobodyReceives(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	target := pending(t, pool)
	announce := func() {
		op := SubscriptionEvent{SubscriptionID: target.Sub.ID}.Operation(event.SubscriptionFailing)
		require.NoError(t, Announce(t.Context(), store.In(pool, "riverhook"), r.cfg.NewID, []Operation{op}))
	}
	announce()
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.intent`))
	_, err := pool.Exec(t.Context(), `UPDATE riverhook.subscription SET hears_operations = false`)
	require.NoError(t, err)
	announce()
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.intent`))
}
