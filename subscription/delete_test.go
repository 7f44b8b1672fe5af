package subscription

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func answering(chain ...hierarchy.Path) hierarchy.Tree {
	return treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { return chain, nil })
}

func TestDeleteByOwner_TakesThoseAboveAndBelowASite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tree hierarchy.Tree
		opts *DeleteByOwnerOpts
		want []hierarchy.Path
	}{
		"everywhere":        {nil, nil, []hierarchy.Path{"/", "/a", "/a/b", "/a/b/c", "/d"}},
		"above a site":      {nil, &DeleteByOwnerOpts{Above: "/a/b"}, []hierarchy.Path{"/", "/a", "/a/b"}},
		"above the root":    {nil, &DeleteByOwnerOpts{Above: "/"}, []hierarchy.Path{"/"}},
		"above no site":     {nil, &DeleteByOwnerOpts{Above: "/x/y"}, []hierarchy.Path{"/"}},
		"below a site":      {nil, &DeleteByOwnerOpts{Under: "/a/b"}, []hierarchy.Path{"/a/b", "/a/b/c"}},
		"between two sites": {nil, &DeleteByOwnerOpts{Above: "/a/b/c", Under: "/a"}, []hierarchy.Path{"/a", "/a/b", "/a/b/c"}},
		"above and beside":  {nil, &DeleteByOwnerOpts{Above: "/a/b", Under: "/d"}, nil},
		"by another tree":   {answering("/d", "/"), &DeleteByOwnerOpts{Above: "/x"}, []hierarchy.Path{"/", "/d"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			subs := newSubscriptions(t, pool)
			if c.tree != nil {
				subs = subs.byTree(c.tree)
			}
			sites := map[uuid.UUID]hierarchy.Path{}
			for _, site := range []hierarchy.Path{"/", "/a", "/a/b", "/a/b/c", "/d"} {
				sites[subscribeAt(t, subs, site).ID] = site
			}
			bobs := specAt("/a/b")
			bobs.Owner = "bob"
			kept, err := subs.Create(t.Context(), bobs)
			require.NoError(t, err)
			owner := specAt("/").Owner

			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			n, err := subs.In(tx).DeleteByOwner(t.Context(), owner, c.opts)
			require.NoError(t, err)
			require.Equal(t, len(c.want), n)
			require.NoError(t, tx.Rollback(t.Context()))
			left, err := listed(subs.List(t.Context(), nil))
			require.NoError(t, err)
			require.Len(t, left, 6, "a rollback leaves all of them")

			n, err = subs.DeleteByOwner(t.Context(), owner, c.opts)
			require.NoError(t, err)
			require.Equal(t, len(c.want), n)
			left, err = listed(subs.List(t.Context(), nil))
			require.NoError(t, err)
			for _, sub := range left {
				delete(sites, sub.ID)
			}
			var gone []hierarchy.Path
			for _, site := range sites {
				gone = append(gone, site)
			}
			require.ElementsMatch(t, c.want, gone)
			_, err = subs.Get(t.Context(), kept.ID)
			require.NoError(t, err)
		})
	}
}

// A principal who is removed with its office is found above where the office is now,
// in the transaction that moves it.
func TestDeleteByOwner_TakesThoseAboveASiteThatMoves(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/d")
	subs := newSubscriptions(t, pool).byTree(sites)
	for _, site := range []hierarchy.Path{"/a", "/a/b", "/d"} {
		subscribeAt(t, subs, site)
	}
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = sites.In(tx).Move(t.Context(), "/a/b", "/d")
	require.NoError(t, err)
	n, err := subs.In(tx).DeleteByOwner(t.Context(), specAt("/").Owner, &DeleteByOwnerOpts{Above: "/a/b"})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, tx.Commit(t.Context()))
	left, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, hierarchy.Path("/a"), left[0].Site)
}

func TestDeleteByOwner_IsRefusedWhereItMakesNoSense(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool).byTree(answering("/a"))
	subscribeAt(t, subs, "/a")
	for words, opts := range map[string]*DeleteByOwnerOpts{
		"Above: ": {Above: "a"}, "Under: ": {Under: "a"}, "tree: ": {Above: "/a"},
	} {
		pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
			_, err := subs.In(tx).DeleteByOwner(t.Context(), specAt("/").Owner, opts)
			require.ErrorContains(t, err, words)
			_, err = listed(subs.In(tx).List(t.Context(), nil))
			require.NoError(t, err, "the transaction can go on")
		})
	}
	_, err := subs.DeleteByOwner(t.Context(), "", nil)
	require.ErrorContains(t, err, "owner: ")
}

// A subscription is deleted while another transaction is about to give it a secret,
// credentials or a URL that must be proven: what the deletion has waited for goes with it.
func TestDelete_WhatIsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	const kept = `SELECT (SELECT count(*) FROM riverhook.secret) + (SELECT count(*) FROM riverhook.endpoint_auth)
		+ (SELECT count(*) FROM riverhook.endpoint_challenge)`
	credentials := Credentials{Bearer: "b34rer"}
	for name, add := range map[string]func(ctx context.Context, subs *Store, tx pgx.Tx, id uuid.UUID) error{
		"a secret": func(ctx context.Context, subs *Store, tx pgx.Tx, id uuid.UUID) error {
			_, err := subs.In(tx).RotateSecret(ctx, id, nil)
			return err
		},
		"credentials": func(ctx context.Context, subs *Store, tx pgx.Tx, id uuid.UUID) error {
			_, err := subs.In(tx).Update(ctx, id, Update{Credentials: &credentials})
			return err
		},
		"a challenge": func(ctx context.Context, subs *Store, tx pgx.Tx, id uuid.UUID) error {
			url, method := "https://new.example.com/", VerificationChallenge
			_, err := subs.In(tx).Update(ctx, id, Update{URL: &url, Verification: &method})
			return err
		},
	} {
		for by, remove := range map[string]func(ctx context.Context, subs *Store, id uuid.UUID) error{
			"by id": func(ctx context.Context, subs *Store, id uuid.UUID) error { return subs.Delete(ctx, id) },
			"by owner": func(ctx context.Context, subs *Store, _ uuid.UUID) error {
				_, err := subs.DeleteByOwner(ctx, specAt("/").Owner, nil)
				return err
			},
		} {
			t.Run(name+", "+by, func(t *testing.T) {
				t.Parallel()
				pool := pgtest.Pool(t)
				subs := newSubscriptions(t, pool)
				id := subscribeAt(t, subs, "/").ID
				tx, err := pool.Begin(t.Context())
				require.NoError(t, err)
				require.NoError(t, add(t.Context(), subs, tx, id))
				deleted := make(chan error, 1)
				go func() { deleted <- remove(t.Context(), subs, id) }()
				require.Eventually(t, func() bool {
					var waiting int
					err := pool.QueryRow(t.Context(),
						"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
					return err == nil && waiting == 1
				}, 10*time.Second, time.Millisecond)
				require.NoError(t, tx.Commit(t.Context()))
				require.NoError(t, <-deleted)

				var left int
				require.NoError(t, pool.QueryRow(t.Context(), kept).Scan(&left))
				require.Zero(t, left)
			})
		}
	}
}
