package subscription

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestSubscriptions_SettingsOfTheSessionChangeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode     pgx.QueryExecMode
		settings map[string]string
	}{
		{pgx.QueryExecModeCacheStatement, map[string]string{"standard_conforming_strings": "off"}},
		{pgx.QueryExecModeExec, map[string]string{"standard_conforming_strings": "off", "bytea_output": "escape"}},
		{pgx.QueryExecModeExec, map[string]string{"bytea_output": "escape", "DateStyle": "German"}},
		{pgx.QueryExecModeSimpleProtocol, map[string]string{"bytea_output": "escape", "DateStyle": "SQL, DMY"}},
		{pgx.QueryExecModeCacheStatement, map[string]string{"default_transaction_isolation": "serializable"}},
	} {
		t.Run(fmt.Sprint(c.mode, c.settings), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			cfg := pgtest.Pool(t).Config()
			cfg.ConnConfig.DefaultQueryExecMode = c.mode
			maps.Copy(cfg.ConnConfig.RuntimeParams, c.settings)
			pool, err := pgxpool.NewWithConfig(ctx, cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			sites := newSites(t, pool, "/a", "/a/b", "/c")
			moved, err := sites.Move(ctx, "/a/b", "/c")
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), moved.CreatedAt, time.Hour)
			subs := newSubscriptions(t, pool)
			spec := specAt("/c/b")
			spec.Headers = map[string]string{"X-A": `back\slash`}
			spec.SecretHeaders = map[string]string{"X-Key": "k"}
			spec.Description = `'\' and \000`
			created, err := subs.Create(ctx, spec)
			require.NoError(t, err)
			check := func(db func(fn func(tx pgx.Tx))) {
				db(func(tx pgx.Tx) {
					got, err := subs.In(tx).Get(ctx, created.ID)
					require.NoError(t, err)
					require.Equal(t, spec.Description, got.Description)
					require.Equal(t, spec.Headers, got.Headers)
					require.WithinDuration(t, time.Now(), got.CreatedAt, time.Hour)
					secrets, err := subs.In(tx).ListSecrets(ctx, created.ID)
					require.NoError(t, err)
					require.NotEmpty(t, secrets)
					_, err = subs.In(tx).RotateSecret(ctx, created.ID, nil)
					require.NoError(t, err)
					name := `a\name`
					_, err = subs.In(tx).Update(ctx, created.ID, Update{Name: &name})
					require.NoError(t, err)
					all, err := subs.In(tx).List(ctx, nil)
					require.NoError(t, err)
					require.Len(t, all.Subscriptions, 1)
					_, err = sites.In(tx).List(ctx, nil)
					require.NoError(t, err)
				})
			}
			check(func(fn func(tx pgx.Tx)) { pgtest.RolledBack(t, pool, fn) })
			_, err = subs.RotateSecret(ctx, created.ID, nil)
			require.NoError(t, err)
			resealed, err := subs.Reseal(ctx, nil)
			require.NoError(t, err)
			require.NotNil(t, resealed)
			lookups := []hierarchy.Lookup{{Site: "/a/b", Type: "user.created"}}
			matches, err := newResolver(t, pool, &hierarchy.ResolverConfig{Tree: sites}).Resolve(ctx, lookups)
			require.NoError(t, err)
			require.Len(t, matches[0], 1)
			require.NoError(t, subs.Delete(ctx, created.ID))
		})
	}
}
