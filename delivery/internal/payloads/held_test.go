package payloads_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func large(fill byte) []byte { return bytes.Repeat([]byte{fill}, payloads.Inline+1) }

// stored makes a pool of a database with one intent, which has data and a message.
func stored(t *testing.T) (pool *payloads.Pool, db *pgxpool.Pool, id uuid.UUID) {
	t.Helper()
	db, id = pgtest.Pool(t), uuid.Must(uuid.NewV7())
	for _, insert := range []struct {
		statement string
		payload   []byte
	}{
		{
			`INSERT INTO riverhook.intent (id, wire_id, type, site, share, data, occurred_at)
				VALUES ($1, 'large', 'user.created', '/', '/', $2, now())`,
			large('d'),
		},
		{
			"INSERT INTO riverhook.message (intent_id, dialect, content_type, body) VALUES ($1, 'standard', 'text/plain', $2)",
			large('m'),
		},
	} {
		_, err := db.Exec(t.Context(), insert.statement, id, insert.payload)
		require.NoError(t, err)
	}
	pool = payloads.New(payloads.Config{Store: store.In(db, "riverhook")})
	t.Cleanup(pool.Close)
	return pool, db, id
}

// hold is a job of an intent that knows of nothing large.
func hold(t *testing.T, pool *payloads.Pool, id uuid.UUID) *payloads.Held {
	t.Helper()
	held, ok := pool.Try(payloads.Want{IntentID: id})
	require.True(t, ok)
	return held
}

func same(t *testing.T, a, b []byte) {
	t.Helper()
	require.Equal(t, a, b)
	require.Same(t, &a[0], &b[0], "they are one copy")
}

func TestGet_LoadsOnceForAllHolders(t *testing.T) {
	t.Parallel()
	pool, db, id := stored(t)
	first, second := hold(t, pool, id), hold(t, pool, id)

	got := make([][]byte, 20)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i], _ = []*payloads.Held{first, second}[i%2].Get(t.Context(), "standard") })
	}
	all.Wait()
	for _, body := range got {
		require.Equal(t, large('m'), body)
		same(t, got[0], body)
	}
	data, err := first.Get(t.Context(), payloads.Data)
	require.NoError(t, err)
	require.Equal(t, large('d'), data)
	require.Equal(t, map[string][]byte{"standard": large('m')}, second.Messages(), "data are no message")

	// It stays while one of them holds it, and not longer.
	_, err = db.Exec(t.Context(), "UPDATE riverhook.message SET gone = true")
	require.NoError(t, err)
	first.Release()
	body, err := second.Get(t.Context(), "standard")
	require.NoError(t, err)
	same(t, got[0], body)
	second.Release()
	body, err = hold(t, pool, id).Get(t.Context(), "standard")
	require.NoError(t, err)
	require.Nil(t, body, "it is gone from the database")
}

func TestGet_ReturnsNilForWhatIsNotThere(t *testing.T) {
	t.Parallel()
	pool, _, id := stored(t)
	body, err := hold(t, pool, id).Get(t.Context(), "svix")
	require.NoError(t, err)
	require.Nil(t, body)
	data, err := hold(t, pool, uuid.Must(uuid.NewV7())).Get(t.Context(), payloads.Data)
	require.NoError(t, err)
	require.Nil(t, data)
}

func TestGet_FailsAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool, _, id := stored(t)
	held := hold(t, pool, id)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := held.Get(ended, "standard")
	require.ErrorIs(t, err, context.Canceled)
	body, err := held.Get(t.Context(), "standard")
	require.NoError(t, err)
	require.Equal(t, large('m'), body)

	pool.Close()
	_, err = held.Get(t.Context(), payloads.Data)
	require.ErrorIs(t, err, batch.ErrClosed)
}

func TestShare_KeepsOneCopyOfALargePayload(t *testing.T) {
	t.Parallel()
	pool, _, id := stored(t)
	held, other := hold(t, pool, id), hold(t, pool, id)
	first, again := large('x'), large('x')
	same(t, first, held.Share("standard", first))
	same(t, first, other.Share("standard", again))
	body, err := other.Get(t.Context(), "standard")
	require.NoError(t, err)
	same(t, first, body)

	small := make([]byte, payloads.Inline)
	same(t, small, held.Share("svix", small))
	require.NotContains(t, held.Messages(), "svix")
}
