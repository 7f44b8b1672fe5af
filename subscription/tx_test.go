package subscription

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestStore_InSQL_WorksWithEachDriver(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{"pgx": "pgx", "lib/pq": "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			url := pgtest.Database(t)
			pool, err := pgxpool.New(ctx, url)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			db, err := sql.Open(driver, url)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			all, sites := newSubscriptions(t, pool), newSites(t, pool)
			inTx := func(do func(subs *Store, sites *hierarchy.Sites), commit bool) {
				t.Helper()
				tx, err := db.BeginTx(ctx, nil)
				require.NoError(t, err)
				defer tx.Rollback()
				do(all.InSQL(tx), sites.InSQL(tx))
				if commit {
					require.NoError(t, tx.Commit())
				}
			}

			spec := specAt("/a")
			spec.Channels = []string{"one", `t"wo`}
			spec.Credentials = Credentials{Bearer: "token"}
			spec.Headers = map[string]string{"X-A": "1"}
			spec.Metadata = map[string]string{"note": "\u00e9, \"quoted\""}
			spec.SecretHeaders = map[string]string{"X-B": "2"}
			spec.Timeout = 3 * time.Second
			var created *Created
			inTx(func(subs *Store, sites *hierarchy.Sites) {
				_, err := sites.Create(ctx, "/a")
				require.NoError(t, err)
				created, err = subs.Create(ctx, spec)
				require.NoError(t, err)
				got, err := subs.Get(ctx, created.ID)
				require.NoError(t, err)
				require.Equal(t, created.Subscription, *got)
			}, true)
			got, err := all.Get(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, created.Channels, got.Channels)
			require.Equal(t, created.Metadata, got.Metadata)
			require.Equal(t, 3*time.Second, got.Timeout)
			secrets, err := all.Secrets(ctx, created.ID)
			require.NoError(t, err)
			require.True(t, created.Secret.Equal(secrets[0]))

			inTx(func(subs *Store, sites *hierarchy.Sites) {
				_, err := sites.Rename(ctx, "/a", "b")
				require.NoError(t, err)
				updated, err := subs.Update(ctx, created.ID, Update{Name: new("renamed")})
				require.NoError(t, err)
				require.Equal(t, hierarchy.Path("/b"), updated.Site)
				_, err = subs.RotateSecret(ctx, created.ID, nil)
				require.NoError(t, err)
				secrets, err := subs.Secrets(ctx, created.ID)
				require.NoError(t, err)
				require.Len(t, secrets, 2)
				n, err := subs.DeleteByOwner(ctx, spec.Owner, nil)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				_, err = subs.Get(ctx, created.ID)
				require.ErrorIs(t, err, ErrNotFound)
				chain, err := sites.Ancestors(ctx, "/a")
				require.NoError(t, err)
				require.Equal(t, []hierarchy.Path{"/b", "/"}, chain)
			}, false)
			got, err = all.Get(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, hierarchy.Path("/a"), got.Site, "nothing remains of what was rolled back")

			_, err = all.InSQL(db).Get(ctx, created.ID)
			require.ErrorContains(t, err, "the transaction is a pool")
			_, err = all.InSQL((*sql.Tx)(nil)).Get(ctx, created.ID)
			require.ErrorContains(t, err, "the transaction is nil")
		})
	}
}

func TestStore_In_RefusesNil(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	_, err := subs.In(nil).Create(context.Background(), specAt("/a"))
	require.ErrorContains(t, err, "the transaction is nil")
	page, err := subs.List(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, page.Subscriptions)
}

func TestStore_In_RefusesReseal(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = subs.In(tx).Reseal(t.Context(), nil)
	require.ErrorContains(t, err, "transaction")
}
