package outbox

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func poolOf(t *testing.T, url string, size int32) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = size
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// objects lists what is in a schema.
func objects(t *testing.T, pool *pgxpool.Pool, schema string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT concat_ws(' ', 'table', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			pg_get_expr(d.adbin, d.adrelid))
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = to_regnamespace($1) AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid), p.proacl) FROM pg_proc p
		WHERE p.pronamespace = to_regnamespace($1)
		UNION ALL SELECT 'constraint ' || conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = to_regnamespace($1)
		UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = to_regnamespace($1)
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = $1
		ORDER BY 1`, schema)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func TestMigrate_GoesUpAndDownWhoeverElseDoes(t *testing.T) {
	t.Parallel()

	t.Run("ten processes at once, each with a pool of one connection", func(t *testing.T) {
		t.Parallel()
		url := pgtest.EmptyDatabase(t)
		var wg sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			pool := poolOf(t, url, 1)
			wg.Go(func() { errs[i] = Migrate(t.Context(), pool, nil) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		pool := poolOf(t, url, 2)
		require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
		_, err := Enqueue(t.Context(), begin(t, pool), valid())
		require.NoError(t, err)
	})

	t.Run("up and down with a pool of one connection", func(t *testing.T) {
		t.Parallel()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 1)
		require.NoError(t, Migrate(t.Context(), pool, nil))
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true}))
		require.ErrorIs(t, migration.Check(t.Context(), pool, "riverhook"), ErrNotMigrated)
	})

	t.Run("again it writes nothing", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		var before, after string
		const last = "SELECT array_agg(xmin::text || applied_at)::text FROM riverhook.migration"
		require.NoError(t, pool.QueryRow(t.Context(), last).Scan(&before))
		readOnly := poolOf(t, pool.Config().ConnString()+"&default_transaction_read_only=on", 1)
		require.NoError(t, Migrate(t.Context(), readOnly, nil))
		require.NoError(t, pool.QueryRow(t.Context(), last).Scan(&after))
		require.Equal(t, before, after)
	})

	t.Run("down leaves nothing, and up again leaves the same", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		up := objects(t, pool, "riverhook")
		require.NotEmpty(t, up)
		for range 2 {
			require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true}))
		}
		var exists bool
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT to_regnamespace('riverhook') IS NOT NULL").Scan(&exists))
		require.False(t, exists)
		require.NoError(t, Migrate(t.Context(), pool, nil))
		require.Equal(t, up, objects(t, pool, "riverhook"))
		_, err := Enqueue(t.Context(), begin(t, pool), valid())
		require.NoError(t, err)
	})

	t.Run("down spares the schema when others use it, and at its own version everything", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		_, err := pool.Exec(t.Context(), "CREATE TABLE riverhook.foreign_one ()")
		require.NoError(t, err)
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true, TargetVersion: SchemaVersion}))
		require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true}))
		for _, object := range objects(t, pool, "riverhook") {
			require.Contains(t, object, "foreign_one")
		}
	})

	t.Run("two schemas of any name live side by side", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: "select"}))
		client, err := New(&Config{Schema: "select"})
		require.NoError(t, err)
		tx := begin(t, pool)
		_, err = client.Enqueue(t.Context(), tx, valid())
		require.NoError(t, err)
		require.Equal(t, [3]int{}, count(t, tx))
		var n int
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM "select".intent, "select".river_job`).Scan(&n))
		require.Equal(t, 1, n)
	})

	t.Run("a schema of public is not dropped", func(t *testing.T) {
		t.Parallel()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: "public"}))
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: "public", Down: true}))
		require.Empty(t, objects(t, pool, "public"))
		_, err := pool.Exec(t.Context(), "CREATE TABLE public.still_there ()")
		require.NoError(t, err)
	})

	t.Run("goes on where a failure has stopped it", func(t *testing.T) {
		t.Parallel()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		_, err := pool.Exec(t.Context(), "CREATE SCHEMA riverhook; CREATE TABLE riverhook.delivery ()")
		require.NoError(t, err)
		require.ErrorContains(t, Migrate(t.Context(), pool, nil), "apply migration 1")
		require.ErrorIs(t, migration.Check(t.Context(), pool, "riverhook"), ErrNotMigrated)
		_, err = pool.Exec(t.Context(), "DROP TABLE riverhook.delivery")
		require.NoError(t, err)
		require.NoError(t, Migrate(t.Context(), pool, nil))
	})

	t.Run("waits for another process no longer than its context", func(t *testing.T) {
		t.Parallel()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 4)
		tx := begin(t, pool)
		_, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended('riverhook migrate riverhook', 0))")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, Migrate(ctx, pool, nil), context.DeadlineExceeded)
		require.NoError(t, tx.Rollback(t.Context()))
		require.NoError(t, Migrate(t.Context(), pool, nil))
	})

	t.Run("bad options name their field", func(t *testing.T) {
		t.Parallel()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 1)
		for field, opts := range map[string]MigrateOpts{
			"Schema": {Schema: "Ä"}, "TargetVersion": {TargetVersion: 1},
		} {
			require.ErrorContains(t, Migrate(t.Context(), pool, &opts), "outbox: MigrateOpts."+field+": ")
		}
		for _, target := range []int{-1, SchemaVersion + 1} {
			require.ErrorContains(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true, TargetVersion: target}), "TargetVersion")
		}
		require.ErrorContains(t, Migrate(t.Context(), nil, nil), "pool is nil")
	})
}

func TestErrNotMigrated_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql      string
		check    string // in the error of Check
		enqueues bool
	}{
		"the schema is missing": {
			"DROP SCHEMA riverhook CASCADE", `schema "riverhook" has no riverhook tables: run outbox.Migrate`, false,
		},
		"our tables are missing": {
			"DROP TABLE riverhook.migration; DROP FUNCTION riverhook.enqueue_one", "has no riverhook tables", false,
		},
		"a table is missing":        {"DROP TABLE riverhook.intent_state", "", false},
		"River's record is missing": {"DROP TABLE riverhook.river_migration", "has no River tables", true},
		"River's tables are older": {
			"DELETE FROM riverhook.river_migration WHERE version = 8", "lack River's migration 8", true,
		},
		"no version is recorded": {
			"DELETE FROM riverhook.migration", `the table migration of schema "riverhook" is empty`, false,
		},
		"our record is emptied": {
			"TRUNCATE riverhook.migration", `the table migration of schema "riverhook" is empty`, true,
		},
		"River's record is emptied": {
			"TRUNCATE riverhook.river_migration", `the table river_migration of schema "riverhook" is empty`, true,
		},
		"a newer version serves only itself": {
			"INSERT INTO riverhook.migration (version) VALUES (7)", "needs a program of version 7 or later", false,
		},
		"a newer version serves others, but not us": {
			"INSERT INTO riverhook.migration (version, min_client) VALUES (7, 2)", "needs a program of version 2 or later", false,
		},
		"a newer version serves us": {
			"INSERT INTO riverhook.migration (version, min_client) VALUES (7, 1)", "", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.pool.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			err = migration.Check(t.Context(), b.tx, "riverhook")
			if c.check == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrNotMigrated)
				require.ErrorContains(t, err, c.check)
			}
			_, err = b.client.Enqueue(t.Context(), b.tx, valid())
			if c.enqueues {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrNotMigrated)
			require.ErrorContains(t, err, "outbox.Migrate")
		})
	}

	t.Run("Migrate says what to do about tables that were emptied", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		var all string
		require.NoError(t, pool.QueryRow(t.Context(),
			"SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = 'riverhook'").Scan(&all))
		_, err := pool.Exec(t.Context(), "TRUNCATE "+all)
		require.NoError(t, err)
		err = Migrate(t.Context(), pool, nil)
		require.ErrorIs(t, err, ErrNotMigrated)
		require.ErrorContains(t, err, "drop the schema (DROP SCHEMA riverhook CASCADE deletes all events) and run outbox.Migrate")
		_, err = pool.Exec(t.Context(), "DROP SCHEMA riverhook CASCADE")
		require.NoError(t, err)
		require.NoError(t, Migrate(t.Context(), pool, nil))
	})

	t.Run("Migrate puts back the root of sites that were emptied", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		sites, err := hierarchy.NewSites(pool, nil)
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), "TRUNCATE riverhook.site CASCADE")
		require.NoError(t, err)
		_, err = sites.Create(t.Context(), "/a")
		require.ErrorContains(t, err, "run outbox.Migrate, which puts it back")
		require.NoError(t, Migrate(t.Context(), pool, nil))
		_, err = sites.Create(t.Context(), "/a")
		require.NoError(t, err)
	})

	t.Run("Migrate says so of a newer schema, in both directions", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		_, err := pool.Exec(t.Context(), "INSERT INTO riverhook.migration (version) VALUES (7)")
		require.NoError(t, err)
		require.ErrorIs(t, Migrate(t.Context(), pool, nil), ErrNotMigrated)
		require.ErrorIs(t, Migrate(t.Context(), pool, &MigrateOpts{Down: true}), ErrNotMigrated)
		_, err = pool.Exec(t.Context(), "DELETE FROM riverhook.migration WHERE version = 7")
		require.NoError(t, err)
		require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
	})
}

func TestMigrationFS_MakesWhatMigrateMakes(t *testing.T) {
	t.Parallel()

	names := func(t *testing.T, files fs.FS) []string {
		t.Helper()
		entries, err := fs.ReadDir(files, ".")
		require.NoError(t, err)
		all := make([]string, len(entries))
		for i, entry := range entries {
			all[i] = entry.Name()
		}
		require.NoError(t, fstest.TestFS(files, all...))
		return all
	}
	run := func(t *testing.T, pool *pgxpool.Pool, sql string) {
		t.Helper()
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		}))
	}
	text := func(t *testing.T, files fs.FS, name string) string {
		t.Helper()
		sql, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		return string(sql)
	}
	// migrated is what Migrate makes of the schema.
	migrated := func(t *testing.T, schema string) []string {
		t.Helper()
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: schema}))
		return objects(t, pool, schema)
	}

	t.Run("plain files make what Migrate makes, and Migrate agrees", func(t *testing.T) {
		t.Parallel()
		files, err := MigrationFS(&MigrationFSOpts{Format: FormatPlain, Schema: "hooks"})
		require.NoError(t, err)
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		for _, name := range names(t, files) {
			run(t, pool, text(t, files, name))
		}
		require.NoError(t, migration.Check(t.Context(), pool, "hooks"))
		require.Equal(t, migrated(t, "hooks"), objects(t, pool, "hooks"))
		require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: "hooks", Down: true}))
	})

	t.Run("golang-migrate's files go up, down step by step, and up again", func(t *testing.T) {
		t.Parallel()
		files, err := MigrationFS(&MigrationFSOpts{Format: FormatGolangMigrate})
		require.NoError(t, err)
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		all := names(t, files)
		require.Contains(t, all, "0001_riverhook_schema.up.sql")
		require.Contains(t, all, "0010_riverhook_initial.down.sql")
		up := func() {
			for _, name := range all {
				if strings.HasSuffix(name, ".up.sql") {
					run(t, pool, text(t, files, name))
				}
			}
		}
		up()
		require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
		for _, name := range slices.Backward(all) {
			if strings.HasSuffix(name, ".down.sql") {
				run(t, pool, text(t, files, name))
			}
		}
		require.Empty(t, objects(t, pool, "riverhook"))
		up()
		require.Equal(t, migrated(t, "riverhook"), objects(t, pool, "riverhook"))
	})

	t.Run("goose's files have one statement for each direction", func(t *testing.T) {
		t.Parallel()
		files, err := MigrationFS(nil)
		require.NoError(t, err)
		pool := poolOf(t, pgtest.EmptyDatabase(t), 2)
		for _, name := range names(t, files) {
			sql := text(t, files, name)
			up, down, found := strings.Cut(strings.TrimPrefix(sql, "-- +goose Up\n"), "-- +goose Down\n")
			require.True(t, found)
			for _, half := range []string{up, down} {
				require.True(t, strings.HasPrefix(half, "-- +goose StatementBegin\n"), name)
				require.True(t, strings.HasSuffix(strings.TrimSpace(half), "\n-- +goose StatementEnd"), name)
				require.Equal(t, 2, strings.Count(half, "+goose"))
			}
			run(t, pool, up)
		}
		require.NoError(t, migration.Check(t.Context(), pool, "riverhook"))
	})

	t.Run("bad options name their field", func(t *testing.T) {
		t.Parallel()
		_, err := MigrationFS(&MigrationFSOpts{Format: "flyway"})
		require.ErrorContains(t, err, "outbox: MigrationFSOpts.Format: ")
		_, err = MigrationFS(&MigrationFSOpts{Schema: "a b"})
		require.ErrorContains(t, err, "outbox: MigrationFSOpts.Schema: ")
	})
}
