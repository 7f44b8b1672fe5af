//go:build interop

package outbox

import (
	"context"
	"database/sql"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// poolerModes are those of pgx that name no prepared statement.
var poolerModes = []string{"exec", "simple_protocol", "cache_describe"}

// bouncedURL is that of a database through PgBouncer in transaction mode, whose
// few connections take turns.
func bouncedURL(t *testing.T, databaseURL string, settings map[string]string) string {
	t.Helper()
	all := map[string]string{"default_pool_size": "2", "server_round_robin": "1"}
	maps.Copy(all, settings)
	return pgtest.StartPgBouncer(t, databaseURL, all).URL
}

// bounded is for calls that wait as long as their context lets them.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestMigrate_WorksBehindPgBouncer(t *testing.T) {
	t.Parallel()

	for _, mode := range poolerModes {
		t.Run("more processes at once than PgBouncer has connections, in mode "+mode, func(t *testing.T) {
			t.Parallel()
			url := bouncedURL(t, pgtest.EmptyDatabase(t), nil) + "&default_query_exec_mode=" + mode
			pool := poolOf(t, url, 2)
			ctx := bounded(t)
			for range 2 {
				var wg sync.WaitGroup
				errs := make([]error, 10)
				for i := range errs {
					pool := poolOf(t, url, 1)
					wg.Go(func() { errs[i] = Migrate(ctx, pool, nil) })
				}
				wg.Wait()
				for _, err := range errs {
					require.NoError(t, err)
				}
				require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
				require.NoError(t, Migrate(ctx, pool, &MigrateOpts{Down: true}))
				require.ErrorIs(t, migration.Check(t.Context(), pool, "riverhook"), ErrNotMigrated)
			}
		})
	}

	t.Run("over a single connection of PgBouncer it says what it waited for", func(t *testing.T) {
		t.Parallel()
		database := pgtest.EmptyDatabase(t)
		url := bouncedURL(t, database, map[string]string{"default_pool_size": "1", "query_wait_timeout": "1"})
		ctx := bounded(t)
		err := Migrate(ctx, poolOf(t, url+"&default_query_exec_mode=exec", 1), nil)
		require.ErrorContains(t, err, "outbox: migrate: look for schema")
		require.ErrorContains(t, err, "query_wait_timeout")
		require.NoError(t, Migrate(ctx, poolOf(t, database, 1), nil))
		require.NoError(t, Migrate(ctx, poolOf(t, url+"&default_query_exec_mode=exec", 1), nil), "nothing is missing: it only reads")
	})
}

func TestEnqueue_WorksBehindPgBouncer(t *testing.T) {
	t.Parallel()

	for _, mode := range poolerModes {
		t.Run("with pgx in mode "+mode, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			pool := poolOf(t, bouncedURL(t, database, nil)+"&default_query_exec_mode="+mode, 10)
			client, err := New(nil)
			require.NoError(t, err)
			var wg sync.WaitGroup
			errs := make([]error, 50)
			for i := range errs {
				wg.Go(func() {
					errs[i] = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
						if _, err := client.EnqueueMany(t.Context(), tx, []Intent{valid(), valid()}); err != nil {
							return err
						}
						_, err := client.Enqueue(t.Context(), tx, named("same")) // waits for the others
						return err
					})
				})
			}
			wg.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Equal(t, [3]int{101, 101, 101}, count(t, poolOf(t, database, 1)))
		})
	}

	for name, driver := range map[string]string{"pgx": "pgx", "lib/pq": "postgres"} {
		t.Run("with database/sql over "+name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			url := bouncedURL(t, database, nil)
			if driver == "pgx" {
				url += "&default_query_exec_mode=exec"
			}
			db, err := sql.Open(driver, url)
			require.NoError(t, err)
			defer db.Close()
			client, err := New(nil)
			require.NoError(t, err)
			other := named("same")
			other.Data = strings.Repeat("x", 10)
			for i := range 10 {
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				res, err := client.EnqueueManySQL(t.Context(), tx, []Intent{valid(), named("same")})
				require.NoError(t, err)
				require.Equal(t, Result{ID: "same", Duplicate: i > 0}, res[1])
				_, err = client.EnqueueSQL(t.Context(), tx, other)
				require.ErrorIs(t, err, ErrIDConflict)
				require.NoError(t, tx.Commit())
			}
			require.Equal(t, [3]int{11, 11, 11}, count(t, poolOf(t, database, 1)))
		})
	}
}
