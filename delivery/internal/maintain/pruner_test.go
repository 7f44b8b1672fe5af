package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

func (db *database) pruner(kept int) *Pruner {
	return &Pruner{
		DB:      db.Pool,
		Log:     silent,
		Process: "first",
		Retention: Retention{
			Dedupe:          time.Hour,
			MaxAge:          time.Hour,
			PerSubscription: kept,
		},
		Schema: "riverhook",
	}
}

func TestPruner_KeepsTheNewestOfEachSubscriptionAndWhatIsPending(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for range pruneSubscriptions + 1 {
		sub := db.subscribe()
		db.deliver(sub, 4, "delivered")
		db.deliver(sub, 2, "pending")
	}

	pruned, err := db.pruner(3).All(t.Context())
	require.NoError(t, err)
	require.Equal(t, Pruned{Deliveries: pruneSubscriptions + 1}, pruned)
	require.Equal(t, 2*(pruneSubscriptions+1), db.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`))
}

func TestPruner_LeavesItToAnotherThatPrunes(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.deliver(db.subscribe(), 2, "delivered")
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	locked, err := store.In(tx, "riverhook").TryPruneLock(t.Context(), "riverhook")
	require.NoError(t, err)
	require.True(t, locked)

	pruned, err := db.pruner(1).All(t.Context())
	require.NoError(t, err)
	require.Zero(t, pruned)
	require.NoError(t, tx.Rollback(t.Context()))
	pruned, err = db.pruner(1).All(t.Context())
	require.NoError(t, err)
	require.Equal(t, Pruned{Deliveries: 1}, pruned)
}

func TestPruner_OnlyTheOldestEngineTakesRounds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.deliver(db.subscribe(), 2, "delivered")
	db.exec(`INSERT INTO riverhook.engine (process, id, started_at) VALUES ('first', 'a', now()), ('second', 'b', now() + interval '1 s')`)
	second := db.pruner(1)
	second.Process = "second"

	require.NoError(t, second.Round(t.Context()))
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.delivery`))
	require.NoError(t, db.pruner(1).Round(t.Context()))
	require.Equal(t, 1, db.count(`SELECT count(*) FROM riverhook.delivery`))
}
