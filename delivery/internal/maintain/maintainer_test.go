package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

// A task that fails keeps no other from its work.
func TestMaintainer_RunsEachTask(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	deactivator, _ := db.deactivator()
	deactivator.Schema = "nowhere"
	forgotten := 0
	queries := store.Frequent(db, "riverhook")
	m := Maintainer{
		CauseProber:   (&causes{database: db, queries: queries}).process("p").CauseProber,
		CauseReviewer: &CauseReviewer{Pace: Whole, Store: queries},
		Decisions: &DecisionExpirer{
			MaxHold: time.Hour,
			Pace:    Whole,
			Store:   queries,
		},
		Deactivator: deactivator,
		Expirer: &HeldExpirer{
			MaxHold: time.Hour,
			Pace:    Whole,
			Store:   store.Frequent(db, "riverhook"),
		},
		Forget:     func() { forgotten++ },
		Log:        silent,
		Reconciler: db.reconciler(0, Whole),
		Releaser:   db.heldReleaser(3),
	}
	db.hold(db.subscribe(), 1, "slots")
	db.deliver(db.subscribe(), 1, "pending")
	db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '1 s' WHERE hold = ''`)

	require.ErrorContains(t, m.Round(t.Context()), "delivery: deactivate subscriptions: ")
	require.Equal(t, 1, forgotten)
	require.Zero(t, db.count(`SELECT count(*) FROM riverhook.delivery WHERE job_id IS NULL`))
}
