package outbox

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

func named(id string) Intent {
	in := valid()
	in.ID = id
	return in
}

func TestEnqueue_TheSameIDAgainIsADuplicateOrAConflict(t *testing.T) {
	t.Parallel()

	t.Run("with the same content it is a duplicate, and writes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
		require.NoError(t, err)
		require.Equal(t, Result{ID: "x"}, first)
		again := named("x")
		again.Actor = "other"
		again.Channel = "other"
		again.Attributes = map[string]string{"not": "counted"}
		second, err := b.client.Enqueue(t.Context(), b.tx, again)
		require.NoError(t, err)
		require.Equal(t, Result{ID: "x", Duplicate: true}, second)
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
	})

	for field, change := range map[string]func(*Intent){
		"Data":          func(in *Intent) { in.Data = 2 },
		"Resource.ID":   func(in *Intent) { in.Resource.ID += "0" },
		"Resource.Kind": func(in *Intent) { in.Resource.Kind += "0" },
		"Site":          func(in *Intent) { in.Site += "0" },
		"Type":          func(in *Intent) { in.Type += "0" },
	} {
		t.Run("with another "+field+" it is a conflict, and the transaction goes on", func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
			require.NoError(t, err)
			other := named("x")
			change(&other)
			var alone *IDConflictError
			_, err = b.client.Enqueue(t.Context(), b.tx, other)
			require.ErrorAs(t, err, &alone)
			require.Equal(t, IDConflictError{Index: 0, ID: "x"}, *alone)
			require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
			_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{named("a"), named("x"), other, named("z")})
			var conflict *IDConflictError
			require.ErrorAs(t, err, &conflict)
			require.ErrorIs(t, err, ErrIDConflict)
			require.Equal(t, IDConflictError{Index: 2, ID: "x"}, *conflict)
			require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
			_, err = b.client.Enqueue(t.Context(), b.tx, named("a"))
			require.NoError(t, err)
			require.NoError(t, b.tx.Commit(t.Context()))
			require.Equal(t, [3]int{2, 2, 2}, count(t, b.pool))
		})
	}

	t.Run("twice in one call the second is the duplicate or the conflict", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		results, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{named("x"), valid(), named("x")})
		require.NoError(t, err)
		require.False(t, results[0].Duplicate)
		require.True(t, results[2].Duplicate)
		require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
		other := named("y")
		other.Data = "other"
		_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{named("y"), other})
		require.ErrorIs(t, err, ErrIDConflict)
		require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
	})
}

func TestEnqueue_TheSameIDMeanwhileWaits(t *testing.T) {
	t.Parallel()

	for name, end := range map[string]struct {
		finish func(context.Context, pgx.Tx) error
		want   Result
	}{
		"is a duplicate when the first commits": {
			func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) }, Result{ID: "x", Duplicate: true},
		},
		"is written when the first rolls back": {
			func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) }, Result{ID: "x"},
		},
	} {
		t.Run("the second waits, and "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
			require.NoError(t, err)
			second := begin(t, b.pool)
			answer := enqueueAsync(t, b.client, second, named("x"))
			waitForLock(t, b.pool, 1)
			require.NoError(t, end.finish(t.Context(), b.tx))
			got := <-answer
			require.NoError(t, got.err)
			require.Equal(t, []Result{end.want}, got.results)
			require.NoError(t, second.Commit(t.Context()))
			require.Equal(t, [3]int{1, 1, 1}, count(t, b.pool))
		})
	}

	t.Run("with another content it is a conflict when the first commits", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
		require.NoError(t, err)
		second := begin(t, b.pool)
		other := named("x")
		other.Data = "other"
		answer := enqueueAsync(t, b.client, second, named("a"), other)
		waitForLock(t, b.pool, 1)
		require.NoError(t, b.tx.Commit(t.Context()))
		require.ErrorIs(t, (<-answer).err, ErrIDConflict)
		require.NoError(t, second.Commit(t.Context()))
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.pool))
	})

	t.Run("under REPEATABLE READ it asks for a new try of the transaction", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
		require.NoError(t, err)
		second, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		require.NoError(t, err)
		defer second.Rollback(context.WithoutCancel(t.Context()))
		answer := enqueueAsync(t, b.client, second, named("x"))
		waitForLock(t, b.pool, 1)
		require.NoError(t, b.tx.Commit(t.Context()))
		var pgErr *pgconn.PgError
		require.ErrorAs(t, (<-answer).err, &pgErr)
		require.Equal(t, "40001", pgErr.Code)
		require.NoError(t, second.Rollback(t.Context()))

		retry, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		require.NoError(t, err)
		defer retry.Rollback(context.WithoutCancel(t.Context()))
		res, err := b.client.Enqueue(t.Context(), retry, named("x"))
		require.NoError(t, err)
		require.True(t, res.Duplicate)
	})

	t.Run("two calls with the same ids in opposite order do not deadlock", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		blocker := begin(t, b.pool)
		_, err := b.client.Enqueue(t.Context(), blocker, named("m"))
		require.NoError(t, err)
		second := begin(t, b.pool)
		one := enqueueAsync(t, b.client, b.tx, named("a"), named("m"), named("z"))
		waitForLock(t, b.pool, 1)
		two := enqueueAsync(t, b.client, second, named("z"), named("m"), named("a"))
		waitForLock(t, b.pool, 2)
		require.NoError(t, blocker.Rollback(t.Context()))
		got := <-one
		require.NoError(t, got.err)
		require.NoError(t, b.tx.Commit(t.Context()))
		got = <-two
		require.NoError(t, got.err)
		require.Equal(t, []Result{{ID: "z", Duplicate: true}, {ID: "m", Duplicate: true}, {ID: "a", Duplicate: true}}, got.results)
		require.NoError(t, second.Commit(t.Context()))
		require.Equal(t, [3]int{3, 3, 3}, count(t, b.pool))
	})
}

type answer struct {
	results []Result
	err     error
}

func enqueueAsync(t *testing.T, client *Client, tx pgx.Tx, in ...Intent) <-chan answer {
	t.Helper()
	out := make(chan answer, 1)
	go func() {
		results, err := client.EnqueueMany(t.Context(), tx, in)
		out <- answer{results, err}
	}()
	return out
}

// waitForLock returns when n connections to the database wait for a lock.
func waitForLock(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, pool.QueryRow(t.Context(),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting))
		return waiting == n
	}, time.Minute, 5*time.Millisecond)
}
