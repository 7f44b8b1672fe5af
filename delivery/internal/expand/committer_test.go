package expand

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// A statement does not see what was committed after it began, and cannot change it.
func TestCommitter_AnIntentThatChangesMeanwhileIsFoundAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	c := NewCommitter(&CommitterConfig{
		DB:     pool,
		NewID:  uuid.New,
		Schema: "riverhook",
	})
	t.Cleanup(c.Close)
	chunk := func() *Chunk {
		ch := &Chunk{Intent: &Intent{ID: uuid.New()}}
		_, err := pool.Exec(t.Context(), `INSERT INTO riverhook.intent_state (intent_id, due_at, job_id) VALUES ($1, now(), 1)`, ch.Intent.ID)
		require.NoError(t, err)
		return ch
	}
	first, changed := chunk(), chunk()
	type done struct {
		outs []committed
		err  error
	}
	commits := make(chan done, 1)

	pgtest.Stall(t, pool, "intent_state", "intent_id", first.Intent.ID, func() {
		outs, err := c.commitAll(context.Background(), []*Chunk{first, changed})
		commits <- done{outs, err}
	}, func() {
		_, err := pool.Exec(t.Context(), `UPDATE riverhook.intent_state SET due_at = now() WHERE intent_id = $1`, changed.Intent.ID)
		require.NoError(t, err)
	})

	got := <-commits
	require.NoError(t, got.err)
	require.Equal(t, []committed{{}, {Stale: true}}, got.outs)
	outs, err := c.commitAll(t.Context(), []*Chunk{first, changed})
	require.NoError(t, err)
	require.Equal(t, []committed{{}, {}}, outs, "the first has ended, and the other does now")
	var expanded int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM riverhook.intent_state WHERE state = 'expanded'`).Scan(&expanded))
	require.Equal(t, 2, expanded)
}
