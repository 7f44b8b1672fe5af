package hierarchy_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// While a move waits for the transaction of an application, others create and activate.
func TestSites_MoveWaitsWithoutKeepingOthersWaiting(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/c")
	subs := newSubscriptions(t, pool)
	paused := subscribeAt(t, subs, "/c").ID
	_, err := subs.Pause(t.Context(), paused)
	require.NoError(t, err)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	slow := specAt("/a")
	slow.Owner = "slow"
	_, err = subs.In(tx).Create(t.Context(), slow)
	require.NoError(t, err)
	moved := make(chan error, 1)
	go func() {
		_, err := sites.Move(t.Context(), "/a/b", "/c")
		moved <- err
	}()
	pgtest.RequireWaiting(t, pool, 1)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 5 {
		_, err = subs.Create(ctx, specAt("/c"))
		require.NoError(t, err)
	}
	_, err = subs.Activate(ctx, paused, nil)
	require.NoError(t, err)
	require.Empty(t, moved, "it still waits")
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-moved)
	_, err = sites.Get(t.Context(), "/c/b")
	require.NoError(t, err)
}

// Two transactions that each have created at a site wait for each other when both move
// one: Postgres ends one of them, as it does with two that wait in the queue.
func TestSites_MoveFindsADeadlock(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/b", "/c")
	subs := newSubscriptions(t, pool)
	moved := make(chan error, 2)
	txs := map[hierarchy.Path]pgx.Tx{"/a": nil, "/b": nil}
	for site := range txs {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SET LOCAL deadlock_timeout = '50ms'")
		require.NoError(t, err)
		spec := specAt(site)
		spec.Owner = "of" + string(site)
		_, err = subs.In(tx).Create(t.Context(), spec)
		require.NoError(t, err)
		txs[site] = tx
	}
	for site, tx := range txs {
		go func() {
			_, err := sites.In(tx).Move(t.Context(), site, "/c")
			if err != nil {
				_ = tx.Rollback(t.Context())
			} else {
				err = tx.Commit(t.Context())
			}
			moved <- err
		}()
	}
	first, second := <-moved, <-moved
	if first == nil {
		first, second = second, first
	}
	var pgErr *pgconn.PgError
	require.ErrorAs(t, first, &pgErr)
	require.Equal(t, "40P01", pgErr.Code)
	require.NoError(t, second)
}

func TestSites_MoveKeepsTheTimeoutsOfTheCaller(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/b")
	subs := newSubscriptions(t, pool)
	for _, setting := range []string{"lock_timeout", "statement_timeout"} {
		slow, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = subs.In(slow).Create(t.Context(), specAt("/a"))
		require.NoError(t, err)
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SET LOCAL "+setting+" = '300ms'")
		require.NoError(t, err)
		show := func() (value string) {
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&value))
			return value
		}
		_, err = sites.In(tx).Move(t.Context(), "/a", "/b")
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "55P03", pgErr.Code)
		require.Equal(t, "300ms", show(), "the transaction goes on")
		_, err = tx.Exec(t.Context(), "SET LOCAL "+setting+" = '30s'")
		require.NoError(t, err)

		moved := make(chan error, 1)
		go func() {
			_, err := sites.In(tx).Move(t.Context(), "/a", "/b")
			moved <- err
		}()
		pgtest.RequireWaiting(t, pool, 1)
		require.NoError(t, slow.Rollback(t.Context()))
		require.NoError(t, <-moved)
		require.Equal(t, "30s", show())
		require.NoError(t, tx.Rollback(t.Context()))
	}
}

func TestSites_MoveLeavesWhenItsContextIsDone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/b")
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		_, err := newSubscriptions(t, pool).In(tx).Create(t.Context(), specAt("/a"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = sites.Move(ctx, "/a", "/b")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// What an application creates at a site that it has found in the same transaction is
// that site's, whoever gets the path meanwhile.
func TestSites_AncestorsTxKeepsThemWhereTheyAre(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/acme", "/acme/sales")
	subs := newSubscriptions(t, pool)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	chain, err := sites.In(tx).Ancestors(t.Context(), "/acme/sales/desk")
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/acme/sales", "/acme", "/"}, chain)
	renamed := make(chan error, 1)
	go func() {
		_, err := sites.Rename(t.Context(), "/acme", "acme-group")
		renamed <- err
	}()
	pgtest.RequireWaiting(t, pool, 1)
	created, err := subs.In(tx).Create(t.Context(), specAt(chain[0]))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-renamed)
	sub, err := subs.Get(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, hierarchy.Path("/acme-group/sales"), sub.Site)
}
