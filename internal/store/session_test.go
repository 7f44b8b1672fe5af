package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

const showOutputs = `SELECT current_setting('bytea_output') || ' ' || current_setting('DateStyle') || ' ' || current_setting('array_nulls')`

// A transaction of the caller has after each statement what it had before, also where the
// statement has failed in a savepoint.
func TestIn_CallerKeepsItsSettings(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg := pgtest.Pool(t).Config().Copy()
		cfg.ConnConfig.DefaultQueryExecMode = mode
		cfg.ConnConfig.RuntimeParams["bytea_output"] = "escape"
		cfg.ConnConfig.RuntimeParams["DateStyle"] = "German, DMY"
		cfg.ConnConfig.RuntimeParams["array_nulls"] = "off"
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			for range 2 {
				versions, err := store.In(tx, store.DefaultSchema).MigrationVersions(t.Context())
				require.NoError(t, err)
				require.Positive(t, versions.Have)
				var got string
				require.NoError(t, tx.QueryRow(t.Context(), showOutputs).Scan(&got))
				require.Equal(t, "escape German, DMY off", got)
				failed := pgx.BeginFunc(t.Context(), tx, func(savepoint pgx.Tx) error {
					_, err := store.In(savepoint, "nowhere").MigrationVersions(t.Context())
					return err
				})
				require.ErrorContains(t, failed, "does not exist")
				require.NoError(t, tx.QueryRow(t.Context(), showOutputs).Scan(&got))
				require.Equal(t, "escape German, DMY off", got)
			}
			return nil
		}))
	}
}

// A statement that fails on a pool leaves its connection usable.
func TestIn_FailedStatementGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Pool(t).Config().Copy()
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	var first, last int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&first))
	for range 3 {
		_, err := store.In(pool, "nowhere").MigrationVersions(t.Context())
		require.ErrorContains(t, err, "does not exist")
		require.Error(t, store.In(pool, store.DefaultSchema).InsertMigration(t.Context(), &store.InsertMigrationParams{Version: 1}))
		versions, err := store.In(pool, store.DefaultSchema).MigrationVersions(t.Context())
		require.NoError(t, err)
		require.Positive(t, versions.Have)
	}
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&last))
	require.Equal(t, first, last)
}
