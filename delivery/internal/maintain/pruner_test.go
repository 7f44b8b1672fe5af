package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

// pruner makes one of a process that keeps so many deliveries of each subscription.
func (db *database) pruner(process string, kept int) *Pruner {
	return &Pruner{
		DB:    db.Pool,
		Lease: db.lease(process),
		Log:   silent,
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

	pruned, err := db.pruner("first", 3).All(t.Context())
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

	pruned, err := db.pruner("first", 1).All(t.Context())
	require.NoError(t, err)
	require.Zero(t, pruned)
	require.NoError(t, tx.Rollback(t.Context()))
	pruned, err = db.pruner("first", 1).All(t.Context())
	require.NoError(t, err)
	require.Equal(t, Pruned{Deliveries: 1}, pruned)
}

func TestPruner_OnlyTheEngineThatHasTheLeaseTakesRounds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.deliver(db.subscribe(), 2, "delivered")
	leased, err := db.lease("first").Hold(t.Context())
	require.NoError(t, err)
	require.True(t, leased)

	require.NoError(t, db.pruner("second", 1).Round(t.Context()))
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.delivery`))
	require.NoError(t, db.pruner("first", 1).Round(t.Context()))
	require.Equal(t, 1, db.count(`SELECT count(*) FROM riverhook.delivery`))
}

// A step reads rows that stay, such as held deliveries that are old, and the next one goes on
// after them.
func TestPruner_FindsWhatIsAmongOldRowsThatStay(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	sub := db.subscribe()
	db.hold(sub, pruneStep+1, "paused")
	db.deliver(sub, 1, "delivered")
	db.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, decided_at)
		SELECT riverhook.new_id(), $1, CASE WHEN n <= $2 THEN 'waiting' ELSE 'denied' END, '/', now() - interval '2 h'
		FROM generate_series(1, $2 + 1) n`, sub, pruneStep)
	db.exec(`UPDATE riverhook.decision SET intent_id = ('00' || substr(intent_id::text, 3))::uuid`)
	db.exec(`UPDATE riverhook.delivery SET id = ('00' || substr(id::text, 3))::uuid, ended_at = ended_at - interval '2 h'`)
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch) SELECT riverhook.new_id(), 1 FROM generate_series(1, $1)`,
		pruneStep)
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch)
		SELECT id, 0 FROM riverhook.subscription`)
	db.exec(`INSERT INTO riverhook.erasure (resource, erased_at)
		SELECT sha256(n::text::bytea), now() - CASE n WHEN 1 THEN interval '2 d' ELSE '0' END FROM generate_series(1, $1 + 1) n`, pruneStep)
	db.exec(`INSERT INTO riverhook.challenged_host (host, asked_at)
		SELECT 'host' || n, now() - CASE n WHEN 999 THEN interval '2 h' ELSE '0' END FROM generate_series(999 - $1::integer, 999) n`, pruneStep)

	pruned, err := db.pruner("first", 100).All(t.Context())
	require.NoError(t, err)
	require.Equal(t, Pruned{Decisions: 1, Deliveries: 1}, pruned)
	require.Equal(t, pruneStep, db.count(`SELECT count(*) FROM riverhook.subscription_health`))
	require.Equal(t, pruneStep, db.count(`SELECT count(*) FROM riverhook.erasure`))
	require.Equal(t, pruneStep, db.count(`SELECT count(*) FROM riverhook.challenged_host`))
}
