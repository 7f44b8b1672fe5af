package maintain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/store"
)

func TestIntentCloser_ClosesAllThatCarryNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		SELECT riverhook.new_id(), 0, now(), 'expanded' FROM generate_series(1, $1)`, closeStep+1)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at) VALUES (riverhook.new_id(), 0, now())`)
	db.deliver(db.subscribe(), 1, "pending") // a first attempt that the job of its intent makes
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		SELECT intent_id, 0, now(), 'expanded' FROM riverhook.delivery`)

	c := IntentCloser{Store: store.Frequent(db, "riverhook")}
	require.NoError(t, c.Run(t.Context()))
	require.Equal(t, 2, db.count(`SELECT count(*) FROM riverhook.intent_state WHERE due_at IS NOT NULL`))
}
