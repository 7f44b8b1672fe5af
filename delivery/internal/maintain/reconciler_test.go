package maintain

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestReconciler_MakesJobsForWhatHasLostItsOwn(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.deliver(db.subscribe(), 2, "pending")
	db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '20 s'`)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at) VALUES (riverhook.new_id(), 0, now() - interval '20 s')`)
	db.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, due_at)
		VALUES (riverhook.new_id(), riverhook.new_id(), 'waiting', '/', now() - interval '20 s')`)
	r, patient := db.reconciler(LostAfter, Rounds), db.reconciler(time.Minute, Rounds)

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

// All jobs of a backlog can be lost at once.
func TestReconciler_ARoundMakesJobsForThousands(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	const n = 3456
	db.deliver(db.subscribe(), n, "pending")
	db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '20 s'`)

	found, err := db.reconciler(LostAfter, Rounds).Deliveries(t.Context())
	require.NoError(t, err)
	require.Equal(t, n, found)
}

func TestReconciler_EndsTheWatchOverIntentsThatCarryNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		SELECT riverhook.new_id(), 0, now(), 'expanded' FROM generate_series(1, $1)`, 2*Rounds.Rows+1)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at) VALUES (riverhook.new_id(), 0, now())`)
	db.deliver(db.subscribe(), 1, "pending") // a first attempt that the job of its intent makes
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		SELECT intent_id, 0, now(), 'expanded' FROM riverhook.delivery`)

	n, err := db.reconciler(LostAfter, Rounds).Intents(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.intent_state WHERE due_at IS NOT NULL`))
}

// fanOut makes an intent with deliveries that have ended, but for the first attempt of the
// one at a place.
func (db *database) fanOut(n, pending int) (intent uuid.UUID) {
	db.t.Helper()
	intent = uuid.New()
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		VALUES ($1, 0, now() - interval '20 s', 'expanded')`, intent)
	db.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, state, ended_at)
		SELECT riverhook.new_id(), $1, lpad(n::text, 32, '0')::uuid, 'standard', '/', 1,
			CASE n WHEN $3 THEN 'pending' ELSE 'delivered' END, CASE WHEN n <> $3 THEN now() END
		FROM generate_series(1, $2) n`, intent, n, pending)
	return intent
}

// Steps read the deliveries of a large fan-out in parts.
func TestReconciler_ALargeFanOutIsReadInParts(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	const n = 10
	watched := map[int]uuid.UUID{}
	for _, pending := range []int{0, 1, 5, n} {
		watched[pending] = db.fanOut(n, pending)
	}
	for rows := 2; rows <= 2*n; rows++ {
		r := db.reconciler(time.Minute, Pace{Rows: rows})
		found, err := r.Intents(t.Context())
		require.NoError(t, err)
		require.Zero(t, found)
		require.Equal(t, 3, db.count(`SELECT count(*) FROM riverhook.intent_state WHERE due_at IS NOT NULL AND intent_id <> $1`, watched[0]))
		require.Zero(t, db.count(`SELECT count(*) FROM riverhook.intent_state WHERE due_at IS NOT NULL AND intent_id = $1`, watched[0]))
		db.exec(`UPDATE riverhook.intent_state SET due_at = now() - interval '20 s' WHERE due_at IS NULL`)

		r.Lost = LostAfter
		found, err = r.Intents(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, found, rows)
		db.exec(`UPDATE riverhook.delivery SET due_at = NULL, job_id = NULL WHERE due_at IS NOT NULL`)
		db.exec(`UPDATE riverhook.intent_state SET due_at = now() - interval '20 s' WHERE due_at IS NULL`)
	}
}
