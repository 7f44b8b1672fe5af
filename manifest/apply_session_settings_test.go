package manifest

import (
	"fmt"
	"maps"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestApply_SettingsOfTheSessionChangeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode     pgx.QueryExecMode
		settings map[string]string
	}{
		{pgx.QueryExecModeCacheStatement, map[string]string{"standard_conforming_strings": "off"}},
		{pgx.QueryExecModeExec, map[string]string{"bytea_output": "escape", "DateStyle": "German"}},
		{pgx.QueryExecModeSimpleProtocol, map[string]string{"bytea_output": "escape", "DateStyle": "SQL, DMY"}},
		{pgx.QueryExecModeCacheStatement, map[string]string{"default_transaction_isolation": "serializable"}},
	} {
		t.Run(fmt.Sprint(c.mode, c.settings), func(t *testing.T) {
			t.Parallel()
			cfg := pgtest.Pool(t).Config()
			cfg.ConnConfig.DefaultQueryExecMode = c.mode
			maps.Copy(cfg.ConnConfig.RuntimeParams, c.settings)
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			b := setupIn(t, pool)
			b.apply(directory, directoryEnv)
			require.Equal(t, "manifest \"default\": 5 unchanged\n", b.apply(directory, directoryEnv).String())
			require.Equal(t, "https://crm.example/hooks", b.subscription("default", "crm").URL)
		})
	}
}
