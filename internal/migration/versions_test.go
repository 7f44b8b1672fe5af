package migration_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/pgtest"
)

const (
	archivedText = "is archived"
	laterText    = "is archived, says version 2"
)

// later is a version of the library that has a column, a function and another text of
// a function more than the current one.
func later(t *testing.T, minClient int32) *migration.Library {
	t.Helper()
	enqueue, err := migration.FunctionText("enqueue")
	require.NoError(t, err)
	definition, _, found := strings.Cut(enqueue, "\n$$;\n")
	require.True(t, found)
	library, err := migration.Later("colour", minClient, map[string]string{
		"002_colour.up.sql":       "ALTER TABLE /* TEMPLATE: schema */event_type ADD COLUMN colour text NOT NULL DEFAULT 'grey';\n",
		"002_colour.down.sql":     "ALTER TABLE /* TEMPLATE: schema */event_type DROP COLUMN colour;\n",
		"functions/enqueue.2.sql": strings.Replace(definition, archivedText, laterText, 1) + "\n$$;\n",
		"functions/colour_of.2.sql": "CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */colour_of(name text) RETURNS text\n" +
			"LANGUAGE sql STABLE\nAS $$\n    SELECT t.colour FROM /* TEMPLATE: schema */event_type t WHERE t.name = colour_of.name\n$$;\n",
	})
	require.NoError(t, err)
	return library
}

// functions returns the functions of the schema, with who may call them.
func functions(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	rows, err := pool.Query(t.Context(),
		`SELECT p.proname, pg_get_functiondef(p.oid) || coalesce(p.proacl::text, 'everybody')
		FROM pg_proc p WHERE p.pronamespace = 'riverhook'::regnamespace AND p.proname NOT LIKE 'river%' AND p.proname <> 'accepts_client'`)
	require.NoError(t, err)
	all := map[string]string{}
	var name, text string
	for rows.Next() {
		require.NoError(t, rows.Scan(&name, &text))
		all[name] = text
	}
	require.NoError(t, rows.Err())
	return all
}

func accepts(t *testing.T, pool *pgxpool.Pool, client int) (yes bool) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT riverhook.accepts_client($1)", client).Scan(&yes))
	return yes
}

// Processes of two versions are deployed over one another, in any order.
func TestVersions_TakeTurns(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.Pool(t)
	former, next := migration.Current(), later(t, migration.Version)
	_, err := pool.Exec(ctx, "GRANT EXECUTE ON FUNCTION riverhook.enqueue TO pg_monitor")
	require.NoError(t, err)
	before := functions(t, pool)
	require.Contains(t, before["enqueue"], "pg_monitor")

	require.NoError(t, next.Up(ctx, pool))
	after := functions(t, pool)
	require.Contains(t, after["enqueue"], laterText)
	require.Contains(t, after["enqueue"], "pg_monitor", "grants survive")
	require.Len(t, after, len(before)+1)
	require.Contains(t, after, "colour_of")

	// An older process works on, and changes nothing when it starts.
	require.NoError(t, former.Check(ctx, pool))
	require.NoError(t, former.Up(ctx, pool))
	require.Equal(t, after, functions(t, pool))
	require.True(t, accepts(t, pool, migration.Version))
	require.True(t, accepts(t, pool, migration.Version+1))
	require.ErrorIs(t, former.Down(ctx, pool, 0), migration.ErrNotMigrated)
	require.Equal(t, after, functions(t, pool))

	// The way back is that of the newer one.
	require.NoError(t, next.Down(ctx, pool, migration.Version))
	require.Equal(t, before, functions(t, pool))
	require.ErrorIs(t, next.Check(ctx, pool), migration.ErrNotMigrated)
	require.NoError(t, former.Check(ctx, pool))
	require.False(t, accepts(t, pool, migration.Version+1))

	// Many that start at once.
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return former.Up(ctx, pool) })
		group.Go(func() error { return next.Up(ctx, pool) })
	}
	require.NoError(t, group.Wait())
	require.Equal(t, after, functions(t, pool))
	require.NoError(t, next.Down(ctx, pool, 0))
	require.NoError(t, former.Up(ctx, pool))
	require.Len(t, functions(t, pool), len(before))
}

func TestVersions_ALaterOneMayRefuseFormerOnes(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.Pool(t)
	former, next := migration.Current(), later(t, 0)
	require.NoError(t, next.Up(ctx, pool))
	after := functions(t, pool)

	require.ErrorIs(t, former.Check(ctx, pool), migration.ErrNotMigrated)
	require.ErrorIs(t, former.Up(ctx, pool), migration.ErrNotMigrated)
	require.Equal(t, after, functions(t, pool))
	require.False(t, accepts(t, pool, migration.Version))
	require.True(t, accepts(t, pool, migration.Version+1))
}

// Each change is a numbered file, and those that were published stay as they were.
func TestVersions_ScriptsAreThoseOfFormerOnesAndOneMore(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.Pool(t)
	former, err := migration.Current().Scripts()
	require.NoError(t, err)
	next, err := later(t, migration.Version).Scripts()
	require.NoError(t, err)
	require.Len(t, next, len(former)+1)
	require.Equal(t, former, next[:len(former)])

	before := functions(t, pool)
	last := next[len(former)]
	require.Equal(t, "0011_riverhook_colour", last.Name)
	_, err = pool.Exec(ctx, last.Up)
	require.NoError(t, err)
	byScript := functions(t, pool)
	require.NoError(t, later(t, migration.Version).Check(ctx, pool))
	_, err = pool.Exec(ctx, last.Down)
	require.NoError(t, err)
	require.Equal(t, before, functions(t, pool))
	require.NoError(t, later(t, migration.Version).Up(ctx, pool))
	require.Equal(t, byScript, functions(t, pool))
}

func TestFunctions_ABadTextIsRefused(t *testing.T) {
	t.Parallel()
	enqueue, err := migration.FunctionText("enqueue")
	require.NoError(t, err)
	definition, _, _ := strings.Cut(enqueue, "\n$$;\n")
	definition += "\n$$;\n"
	for says, added := range map[string]map[string]string{
		"function enqueue: version 2 has another signature than version 1: give it another name": {
			"functions/enqueue.2.sql": strings.Replace(definition, "type text, ", "type text, colour text, ", 1),
		},
		"function enqueue: version 2 has more than the function: grants stay as they are": {
			"functions/enqueue.2.sql": definition + "REVOKE ALL ON FUNCTION enqueue FROM PUBLIC;\n",
		},
		"function enqueue: there is no step to version 3": {"functions/enqueue.3.sql": definition},
		"functions/enqueue.sql: is not named name.N.sql":  {"functions/enqueue.sql": definition},
		"functions/other.2.sql: does not begin with CREATE OR REPLACE FUNCTION other and its body": {
			"functions/other.2.sql": definition,
		},
	} {
		added["002_bad.up.sql"] = ""
		added["002_bad.down.sql"] = ""
		library, err := migration.Later("bad", 0, added)
		require.NoError(t, err)
		_, err = library.Steps()
		require.EqualError(t, err, says)
	}
}

// A schema can have functions of the application. None is replaced, and Down leaves them.
func TestFunctions_OfTheApplicationStay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ create, call, refused string }{
		"the same": {
			create:  `CREATE FUNCTION public.new_id(at timestamptz DEFAULT now()) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'`,
			call:    `SELECT public.new_id() IS NULL`,
			refused: "42723",
		},
		"other arguments of one that is revoked": {
			create: `CREATE FUNCTION public.enqueue(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n'`,
			call:   `SELECT public.enqueue(7) = 7`,
		},
		"other arguments": {
			create: `CREATE FUNCTION public.job(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n'`,
			call:   `SELECT public.job(7) = 7`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, err := pgxpool.New(t.Context(), pgtest.EmptyDatabase(t))
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			_, err = pool.Exec(t.Context(), c.create)
			require.NoError(t, err)

			if err := migration.Up(t.Context(), pool, "public"); c.refused != "" {
				require.ErrorContains(t, err, c.refused)
			} else {
				require.NoError(t, err)
				require.NoError(t, migration.Down(t.Context(), pool, "public", 0))
			}
			var same bool
			require.NoError(t, pool.QueryRow(t.Context(), c.call).Scan(&same))
			require.True(t, same)
		})
	}
}

// A schema of the time before the first release is not taken for one of that.
func TestCheck_RefusesASchemaThatWasNeverReleased(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), "DROP VIEW riverhook.signing_secret")
	require.NoError(t, err)
	err = migration.Check(t.Context(), pool, "riverhook")
	require.ErrorIs(t, err, migration.ErrNotMigrated)
	require.ErrorContains(t, err, "DROP SCHEMA riverhook CASCADE")
}
