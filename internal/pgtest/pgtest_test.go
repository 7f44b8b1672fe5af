package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

func TestPool_IsToAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()

	t.Run("IsToAMigratedDatabase", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, migration.Check(t.Context(), Pool(t), store.DefaultSchema))
	})

	t.Run("IsToADatabaseOfItsOwn", func(t *testing.T) {
		t.Parallel()
		one, other := Pool(t), Pool(t)
		_, err := one.Exec(t.Context(), "CREATE TABLE mine ()")
		require.NoError(t, err)
		_, err = other.Exec(t.Context(), "SELECT FROM mine")
		require.ErrorContains(t, err, `"mine" does not exist`)
	})

	t.Run("HasTheSizeThatWasAskedFor", func(t *testing.T) {
		t.Parallel()
		require.EqualValues(t, DefaultMaxConns, Pool(t).Config().MaxConns)
		require.EqualValues(t, 3, PoolSize(t, 3).Config().MaxConns)
	})

	t.Run("IsClosedAndTheDatabaseDroppedWhenTheTestEnds", func(t *testing.T) {
		t.Parallel()
		var pool *pgxpool.Pool
		var conn *pgx.Conn
		t.Run("Test", func(t *testing.T) { //nolint:paralleltest // what follows is after its end
			pool = Pool(t)
			require.NoError(t, pool.Ping(t.Context()))
			var err error
			conn, err = pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
			require.NoError(t, err)
		})
		require.ErrorContains(t, pool.Ping(t.Context()), "closed pool")
		require.Error(t, conn.Ping(t.Context()), "a connection that the test left open does not hinder")
		require.Empty(t, names(t, pool.Config().ConnConfig.Database))
	})
}

func TestEmptyDatabase_HasNoSchema(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), EmptyDatabase(t))
	require.NoError(t, err)
	defer pool.Close()
	require.ErrorIs(t, migration.Check(t.Context(), pool, store.DefaultSchema), migration.ErrNotMigrated)
}

// names returns the names of the databases that begin with prefix.
func names(t *testing.T, prefix string) []string {
	t.Helper()
	var found []string
	require.NoError(t, server(t).admin(t.Context(), func(conn *pgx.Conn) error {
		rows, err := conn.Query(t.Context(), "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return found
}
