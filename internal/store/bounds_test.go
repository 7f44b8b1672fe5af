package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

const showBounds = `SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')`

// The bounds of an engine hold in each of its transactions, beneath lower ones of the
// session, and end with the transaction.
func TestBounds_OfEachWayToRunStatements(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"":                          "1s 1min",
		"lock_timeout = '300ms'":    "300ms 1min",
		"lock_timeout = '1h'":       "1s 1min",
		"statement_timeout = '20s'": "1s 20s",
		"statement_timeout = '2h'":  "1s 1min",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
				cfg := pgtest.Pool(t).Config().Copy()
				cfg.ConnConfig.DefaultQueryExecMode = mode
				cfg.MaxConns = 1
				pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
				require.NoError(t, err)
				t.Cleanup(pool.Close)
				if setting != "" {
					_, err := pool.Exec(t.Context(), "SET "+setting)
					require.NoError(t, err)
				}
				var before, got string
				require.NoError(t, pool.QueryRow(t.Context(), showBounds).Scan(&before))

				require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, store.BoundedTx(), func(tx pgx.Tx) error {
					return tx.QueryRow(t.Context(), showBounds).Scan(&got)
				}))
				require.Equal(t, want, got)
				rows, err := store.FrequentDB(pool, store.DefaultSchema).Query(t.Context(), showBounds)
				require.NoError(t, err)
				require.True(t, rows.Next())
				require.NoError(t, rows.Scan(&got))
				require.False(t, rows.Next())
				require.NoError(t, rows.Err())
				require.Equal(t, want, got)

				require.NoError(t, pool.QueryRow(t.Context(), showBounds).Scan(&got))
				require.Equal(t, before, got)
			}
		})
	}
}
