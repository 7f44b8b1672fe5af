package migration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRiver_WeAreBuiltWithThePinnedOne(t *testing.T) {
	t.Parallel()
	steps, err := migration.RiverSteps()
	require.NoError(t, err)
	require.Equal(t, migration.RiverVersion, steps[len(steps)-1].Version,
		"River has new migrations: read them, run outbox's contract tests, and add them to the releases")
}

func TestScripts_AreAllStepsAndTheSchema(t *testing.T) {
	t.Parallel()
	scripts, err := migration.Scripts("hooks")
	require.NoError(t, err)
	require.Len(t, scripts, 1+migration.RiverVersion+migration.Version)
	for i, script := range scripts {
		require.NotContains(t, script.Up+script.Down, "TEMPLATE")
		require.NotEmpty(t, script.Down)
		if i > 0 {
			require.Less(t, scripts[i-1].Name, script.Name)
		}
	}
	require.True(t, strings.HasPrefix(scripts[len(scripts)-1].Up, "-- The versions of this schema"))
}

func TestFingerprint_IsThatOfTheTexts(t *testing.T) {
	t.Parallel()
	first := migration.Fingerprint()
	require.Len(t, first, 64)
	require.Equal(t, first, migration.Fingerprint())
}

func TestUp_MakesAgainWhatDownHasTaken(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	require.NoError(t, migration.Check(ctx, pool, store.DefaultSchema))
	require.NoError(t, migration.Up(ctx, pool, store.DefaultSchema))
	require.NoError(t, migration.Down(ctx, pool, store.DefaultSchema, migration.Version))
	require.NoError(t, migration.Check(ctx, pool, store.DefaultSchema))
	require.NoError(t, migration.Down(ctx, pool, store.DefaultSchema, 0))
	require.ErrorIs(t, migration.Check(ctx, pool, store.DefaultSchema), migration.ErrNotMigrated)
	require.NoError(t, migration.Up(ctx, pool, store.DefaultSchema))
	require.NoError(t, migration.Check(ctx, pool, store.DefaultSchema))
}

func TestCheck_LeavesATransactionUsable(t *testing.T) {
	t.Parallel()
	tx, err := pgtest.Pool(t).Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	require.ErrorIs(t, migration.Check(t.Context(), tx, "nowhere"), migration.ErrNotMigrated)
	_, err = tx.Exec(t.Context(), "DROP TABLE riverhook.river_migration")
	require.NoError(t, err)
	require.ErrorIs(t, migration.Check(t.Context(), tx, store.DefaultSchema), migration.ErrNotMigrated)
	_, err = tx.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)
}

func TestVersion_IsThatOfTheLastStep(t *testing.T) {
	t.Parallel()
	steps, err := migration.Steps()
	require.NoError(t, err)
	require.Len(t, steps, migration.Version)
}

// Nothing in Riverhook uses River's indexes on arguments and metadata. A step down restores them.
func TestUp_DropsIndexesThatNobodyReads(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	indexes := func() (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_index i
			JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
			WHERE i.indrelid = 'riverhook.river_job'::regclass AND a.amname = 'gin'`).Scan(&n))
		return n
	}
	require.Zero(t, indexes())
	scripts, err := migration.Scripts(store.DefaultSchema)
	require.NoError(t, err)

	_, err = pool.Exec(t.Context(), scripts[len(scripts)-1].Down)
	require.NoError(t, err)
	require.Equal(t, 2, indexes())
}
