package maintain

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

// age makes the lease older.
func (db *database) age(by time.Duration) {
	db.t.Helper()
	db.exec(`UPDATE riverhook.maintenance_lease SET taken_at = taken_at - $1::bigint * interval '1 ms'`, by.Milliseconds())
}

func TestLease_OneProcessHasItUntilItIsSilent(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	hold := func(l *Lease, want bool) {
		t.Helper()
		l.renewed = time.Time{}
		leased, err := l.Hold(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, leased)
	}
	first, second := db.lease("first"), db.lease("second")
	hold(first, true)
	hold(second, false)
	db.age(leaseTime - time.Second)
	hold(second, false)
	hold(first, true)
	db.age(leaseTime - time.Second)
	hold(second, false)
	db.age(2 * time.Second)
	hold(second, true)
	hold(first, false)

	db.age(-time.Hour) // the clock of the database was set back
	hold(first, true)
	require.NoError(t, store.In(db, "riverhook").RemoveEngine(t.Context(), "second"))
	hold(second, false)
	require.NoError(t, store.In(db, "riverhook").RemoveEngine(t.Context(), "first"))
	hold(second, true)
}

func TestLease_OfTwoThatAskAtOnceOneGetsIt(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for range 10 {
		got := make(chan bool)
		for _, process := range []string{"a", "b", "c"} {
			l := db.lease(process)
			go func() {
				leased, err := l.Hold(context.WithoutCancel(t.Context()))
				got <- leased && err == nil
			}()
		}
		all := []bool{<-got, <-got, <-got}
		require.Len(t, slices.DeleteFunc(all, func(leased bool) bool { return !leased }), 1)
		db.exec(`DELETE FROM riverhook.maintenance_lease`)
	}
}

// maintainer makes one that has a lease.
func (db *database) maintainer(process string) *Maintainer {
	deactivator, _ := db.deactivator()
	queries := store.Frequent(db, "riverhook")
	c := &causes{database: db, queries: queries}
	return &Maintainer{
		CauseProber:   c.process(process, "schedule:weekly").CauseProber,
		CauseReviewer: &CauseReviewer{Pace: Rounds, Store: queries},
		Deactivator:   deactivator,
		Decisions: &DecisionExpirer{
			MaxHold: time.Hour,
			Pace:    Rounds,
			Store:   queries,
		},
		Expirer: &HeldExpirer{
			MaxHold: time.Hour,
			Pace:    Rounds,
			Store:   queries,
		},
		Forget:     func() {},
		Lease:      db.lease(process),
		Log:        silent,
		Reconciler: db.reconciler(LostAfter, Rounds),
		Releaser:   db.heldReleaser(3),
	}
}

// What concerns a process each does: one that has no lease releases held deliveries. What
// concerns all is done by the one that has it, and by another when that one is gone.
func TestMaintainer_DoesWhatConcernsAllWhileItHasTheLease(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sub := db.subscribe()
	lose := func() {
		db.deliver(sub, 1, "pending")
		db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '1 min', job_id = NULL WHERE hold = ''`)
	}
	lost := func() int {
		return db.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = '' AND job_id IS NULL`)
	}
	first, second := db.maintainer("first"), db.maintainer("second")

	require.NoError(t, first.Round(t.Context()))
	lose()
	db.hold(sub, 1, "slots")
	require.NoError(t, second.Round(t.Context()))
	require.Equal(t, 1, lost(), "the first one has the lease")
	require.Zero(t, db.count(`SELECT count(*) FROM riverhook.delivery WHERE hold <> ''`))
	require.NoError(t, first.Round(t.Context()))
	require.Zero(t, lost())

	lose()
	db.age(2 * leaseTime) // the first one was killed, or hangs
	require.NoError(t, second.Round(t.Context()))
	require.Zero(t, lost())
	lose()
	first.Lease.renewed = time.Time{} // it goes on after all
	require.NoError(t, first.Round(t.Context()))
	require.Positive(t, lost())
}
