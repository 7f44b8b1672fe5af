package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

func TestReconciler_MakesJobsForWhatHasLostItsOwn(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.deliver(db.subscribe(), 2, "pending")
	db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '20 s'`)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at) VALUES (riverhook.new_id(), 0, now() - interval '20 s')`)
	db.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, due_at)
		VALUES (riverhook.new_id(), riverhook.new_id(), 'waiting', '/', now() - interval '20 s')`)
	r := Reconciler{Lost: LostAfter, Store: store.Frequent(db, "riverhook")}
	patient := Reconciler{Lost: time.Minute, Store: r.Store}

	n, err := patient.Deliveries(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "they may be about to get one")
	n, err = r.Deliveries(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = r.Intents(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = r.Decisions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 4, db.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'available'`))

	n, err = r.Deliveries(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "they have one now")
}
