package pgtest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// ExecModes are the ways in which pgx sends statements.
func ExecModes() []pgx.QueryExecMode {
	return []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
}

// PoolIn returns a pool to the same database that uses another way to send statements.
func PoolIn(tb testing.TB, pool *pgxpool.Pool, mode pgx.QueryExecMode) *pgxpool.Pool {
	tb.Helper()
	cfg := pool.Config()
	cfg.ConnConfig.DefaultQueryExecMode = mode
	cfg.MaxConns = 2
	other, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(other.Close)
	return other
}

// RolledBack runs fn in a transaction that leaves nothing.
func RolledBack(tb testing.TB, pool *pgxpool.Pool, fn func(tx pgx.Tx)) {
	tb.Helper()
	tx, err := pool.Begin(tb.Context())
	require.NoError(tb, err)
	defer tx.Rollback(context.WithoutCancel(tb.Context())) // if fn has ended the test
	fn(tx)
	require.NoError(tb, tx.Rollback(tb.Context()))
}

// RequireWaiting returns when n connections wait for a lock.
func RequireWaiting(tb testing.TB, pool *pgxpool.Pool, n int) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		var waiting int
		err := pool.QueryRow(tb.Context(),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
		return err == nil && waiting == n
	}, 10*time.Second, time.Millisecond)
}

// Stall begins a statement that updates, first of all, the row of riverhook.table whose column has
// a value, lets it wait there, and does something else meanwhile: the statement goes on with rows
// that have changed since it began.
func Stall(tb testing.TB, pool *pgxpool.Pool, table, column string, value any, begin, other func()) {
	tb.Helper()
	tx, err := pool.Begin(tb.Context())
	require.NoError(tb, err)
	defer tx.Rollback(context.WithoutCancel(tb.Context())) // if other has ended the test
	_, err = tx.Exec(tb.Context(), "SELECT pg_advisory_xact_lock(7)")
	require.NoError(tb, err)
	_, err = pool.Exec(tb.Context(), `CREATE FUNCTION riverhook.stall() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock(7);
			RETURN NEW;
		END $$`)
	require.NoError(tb, err)
	_, err = pool.Exec(tb.Context(), fmt.Sprintf(`CREATE TRIGGER stall BEFORE UPDATE ON riverhook.%s FOR EACH ROW
		WHEN (OLD.%s = '%v') EXECUTE FUNCTION riverhook.stall()`, table, column, value))
	require.NoError(tb, err)
	go begin()
	RequireWaiting(tb, pool, 1)
	other()
	require.NoError(tb, tx.Commit(tb.Context()))
}

// RefusedIntents returns which of the values of a field the SQL functions that enqueue
// intents refuse.
func RefusedIntents(tb testing.TB, field string, values []string) map[int]bool {
	tb.Helper()
	pool := Pool(tb)
	intents := make([]map[string]string, 0, 1+len(values))
	intents = append(intents, map[string]string{"id": "the invalid one that keeps the others out", "type": "a.b", "data": "{}"})
	for _, v := range values {
		intent := map[string]string{"type": "a.b", "data": "{}"}
		intent[field] = v
		intents = append(intents, intent)
	}
	text, err := json.Marshal(intents)
	require.NoError(tb, err)
	rows, err := pool.Query(tb.Context(),
		`SELECT ord - 2 FROM riverhook.enqueue_batch($1::text::json, NULL, 1000, false, false)`, string(text))
	require.NoError(tb, err)
	defer rows.Close()
	refused := make(map[int]bool)
	for rows.Next() {
		var i int
		require.NoError(tb, rows.Scan(&i))
		refused[i] = true
	}
	require.NoError(tb, rows.Err())
	require.True(tb, refused[-1])
	return refused
}
