package subscription

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/txn"
)

func requireNoneOf(t *testing.T, subs *Store, owner string, under hierarchy.Path) {
	t.Helper()
	left, err := listed(subs.List(t.Context(), &ListOpts{Owner: owner, Under: under}))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A removal that begins while a transaction makes something of the owner's waits for it,
// and takes it along.
func TestDeleteByOwner_WaitsForWhatIsBeingMade(t *testing.T) {
	t.Parallel()
	ada := specAt("/").Owner
	for name, c := range map[string]struct {
		make func(ctx context.Context, subs *Store, tx pgx.Tx, there uuid.UUID) error
		opts *DeleteByOwnerOpts
	}{
		"a creation": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, _ uuid.UUID) error {
			_, err := subs.In(tx).Create(ctx, specAt("/a"))
			return err
		}},
		"a creation by a principal": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, _ uuid.UUID) error {
			_, err := subs.As("max", allow(access.Verbs()...)).In(tx).Create(ctx, specAt("/a"))
			return err
		}},
		"a creation above": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, _ uuid.UUID) error {
			_, err := subs.In(tx).Create(ctx, specAt("/a"))
			return err
		}, opts: &DeleteByOwnerOpts{Above: "/a/b"}},
		"another site": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, there uuid.UUID) error {
			_, err := subs.In(tx).Update(ctx, there, Update{Site: new(hierarchy.Path("/a/b"))})
			return err
		}, opts: &DeleteByOwnerOpts{Under: "/a"}},
		"another site by a principal": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, there uuid.UUID) error {
			_, err := subs.As("max", allow(access.Verbs()...)).In(tx).Update(ctx, there, Update{Site: new(hierarchy.Path("/a"))})
			return err
		}, opts: &DeleteByOwnerOpts{Above: "/a/b"}},
		"an activation": {make: func(ctx context.Context, subs *Store, tx pgx.Tx, there uuid.UUID) error {
			_, err := subs.In(tx).Activate(ctx, there, nil)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			subs := newSubscriptions(t, pool)
			there := subscribeAt(t, subs, "/d").ID
			_, err := subs.Deactivate(t.Context(), there, "failing")
			require.NoError(t, err)
			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			require.NoError(t, c.make(t.Context(), subs, tx, there))
			deleted := make(chan error, 1)
			go func() {
				_, err := subs.DeleteByOwner(t.Context(), ada, c.opts)
				deleted <- err
			}()
			pgtest.RequireWaiting(t, pool, 1)
			require.NoError(t, tx.Commit(t.Context()))
			require.NoError(t, <-deleted)
			requireNoneOf(t, subs, ada, "/a")
			if c.opts == nil {
				requireNoneOf(t, subs, ada, "/")
			}
		})
	}
}

// A subscription comes to the site while the removal waits for the gate of its owner, and is
// moved on by somebody else. Which of the two is first is open; neither may fail.
func TestDeleteByOwner_DoesNotDeadlockWithMoves(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	sub := subscribeAt(t, subs, "/s")
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context())) // it is committed
	_, err = subs.In(tx).Update(t.Context(), sub.ID, Update{Site: new(hierarchy.Path("/t"))})
	require.NoError(t, err)
	var others sync.WaitGroup
	var deleted int
	var removed, moved error
	others.Go(func() { deleted, removed = subs.DeleteByOwner(t.Context(), sub.Owner, &DeleteByOwnerOpts{Under: "/t"}) })
	pgtest.RequireWaiting(t, pool, 1)
	others.Go(func() { _, moved = subs.Update(t.Context(), sub.ID, Update{Site: new(hierarchy.Path("/u"))}) })
	pgtest.RequireWaiting(t, pool, 2)
	require.NoError(t, tx.Commit(t.Context()))
	others.Wait()
	require.NoError(t, removed)
	requireNoneOf(t, subs, sub.Owner, "/t")
	if errors.Is(moved, ErrNotFound) {
		require.Equal(t, 1, deleted, "the removal was first")
		return
	}
	require.NoError(t, moved)
	require.Zero(t, deleted, "it was moved on")
	there, err := subs.Get(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, hierarchy.Path("/u"), there.Site)
}

func TestDeleteByOwner_OfAnotherOwnerDoesNotWait(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		_, err := subs.In(tx).Create(t.Context(), specAt("/a"))
		require.NoError(t, err)
		_, err = subs.DeleteByOwner(t.Context(), "bob@example.com", nil)
		require.NoError(t, err)
	})
}

// A creation that begins while its owner is being removed waits, and then is one of
// after the removal.
func TestCreate_WaitsForARemovalOfItsOwner(t *testing.T) {
	t.Parallel()
	for _, rollsBack := range []bool{false, true} {
		pool := pgtest.Pool(t)
		subs := newSubscriptions(t, pool)
		former := subscribeAt(t, subs, "/a").ID
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		n, err := subs.In(tx).DeleteByOwner(t.Context(), specAt("/").Owner, nil)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		created := make(chan error, 1)
		go func() {
			_, err := subs.Create(t.Context(), specAt("/a"))
			created <- err
		}()
		pgtest.RequireWaiting(t, pool, 1)
		if rollsBack {
			require.NoError(t, tx.Rollback(t.Context()))
		} else {
			require.NoError(t, tx.Commit(t.Context()))
		}
		require.NoError(t, <-created)
		left, err := listed(subs.List(t.Context(), nil))
		require.NoError(t, err)
		if rollsBack {
			require.Len(t, left, 2)
		} else {
			require.Len(t, left, 1)
			require.NotEqual(t, former, left[0].ID)
		}
	}
}

func TestDeleteByOwner_UnderAStricterIsolationFails(t *testing.T) {
	t.Parallel()
	for _, isolation := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		pool := pgtest.Pool(t)
		subs := newSubscriptions(t, pool)
		tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation})
		require.NoError(t, err)
		_, err = subs.In(tx).List(t.Context(), nil) // takes its snapshot
		require.NoError(t, err)
		subscribeAt(t, subs, "/a")
		_, err = subs.In(tx).DeleteByOwner(t.Context(), specAt("/").Owner, nil)
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "40001", pgErr.Code)
		require.NoError(t, tx.Rollback(t.Context()))
	}
}

// between calls once, before a statement whose text has a name in it.
type between struct {
	name string
	once sync.Once
	call func()
}

func (b *between) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "name: "+b.name+" ") {
		b.once.Do(b.call)
	}
	return ctx
}

func (*between) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *Store) traced(t *testing.T, b *between) *Store {
	t.Helper()
	cfg := s.scope.Pool().Config().Copy()
	cfg.ConnConfig.Tracer = b
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	other := *s
	other.scope = txn.Of(pool)
	return &other
}

// Between the reading of the tree and the deletion a tenant is renamed, and its path
// gets another one: whoever leaves the first loses nothing at the second.
func TestDeleteByOwner_AboveAPathThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/acme", "/acme/sales")
	subs := newSubscriptions(t, pool).byTree(sites)
	first := subscribeAt(t, subs, "/acme").ID
	made := make(chan error, 1)
	anew := func() {
		made <- pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := sites.In(tx).Rename(t.Context(), "/acme", "acme-group"); err != nil {
				return err
			}
			if _, err := sites.In(tx).Create(t.Context(), "/acme"); err != nil {
				return err
			}
			_, err := subs.In(tx).Create(t.Context(), specAt("/acme"))
			return err
		})
	}
	hook := &between{name: "LockSubscriptionsOf", call: func() {
		go anew()
		require.Eventually(t, func() bool { // it is committed, or waits
			var waiting bool
			err := pool.QueryRow(t.Context(), `SELECT EXISTS (
				SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
			return err == nil && (waiting || len(made) == 1)
		}, 10*time.Second, time.Millisecond)
	}}
	n, err := subs.traced(t, hook).DeleteByOwner(t.Context(), specAt("/").Owner, &DeleteByOwnerOpts{Above: "/acme/sales"})
	require.NoError(t, err)
	require.NoError(t, <-made)
	require.Equal(t, 1, n)
	_, err = subs.Get(t.Context(), first)
	require.ErrorIs(t, err, ErrNotFound)
	left, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, hierarchy.Path("/acme"), left[0].Site, "of the second tenant")
}

// treeOfTexts is a tree of an application, with a version.
type treeOfTexts struct {
	mu      sync.Mutex
	chain   []hierarchy.Path
	version string
	asked   int
	after   func() // the first answer
}

func (v *treeOfTexts) Ancestors(context.Context, hierarchy.Path) ([]hierarchy.Path, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	chain := v.chain
	v.asked++
	if v.asked == 1 {
		v.after()
	}
	return chain, nil
}

func (v *treeOfTexts) Version(context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version, nil
}

// A tree of the application changes after its answer: with a version the deletion is by
// the second answer. So it is, without one, if subscriptions have moved before they are locked.
func TestDeleteByOwner_AboveInATreeThatChanges(t *testing.T) {
	t.Parallel()
	for name, inTx := range map[string]bool{"in a transaction of its own": false, "in the caller's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			tree := &treeOfTexts{chain: []hierarchy.Path{"/acme/sales", "/acme", "/"}, version: "1"}
			subs := newSubscriptions(t, pool).byTree(tree)
			first := subscribeAt(t, subs, "/acme").ID
			tree.after = func() { // the first tenant is renamed, the second gets its path
				_, err := pool.Exec(t.Context(), "UPDATE riverhook.subscription SET site = '/acme-group'")
				require.NoError(t, err)
				subscribeAt(t, subs, "/acme")
				tree.chain, tree.version = []hierarchy.Path{"/acme-group/sales", "/acme-group", "/"}, "2"
			}
			owner, opts := specAt("/").Owner, &DeleteByOwnerOpts{Above: "/acme/sales"}
			remove := func() (int, error) { return subs.DeleteByOwner(t.Context(), owner, opts) }
			if inTx {
				remove = func() (n int, err error) {
					err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
						n, err = subs.In(tx).DeleteByOwner(t.Context(), owner, opts)
						return err
					})
					return n, err
				}
			}
			n, err := remove()
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, 2, tree.asked)
			_, err = subs.Get(t.Context(), first)
			require.ErrorIs(t, err, ErrNotFound)
			left, err := listed(subs.List(t.Context(), nil))
			require.NoError(t, err)
			require.Len(t, left, 1)
		})
	}
}

func TestDeleteByOwner_WhatMovesBeforeItIsLocked(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	tree := &treeOfTexts{chain: []hierarchy.Path{"/acme", "/"}, after: func() {}}
	subs := newSubscriptions(t, pool).byTree(tree)
	subscribeAt(t, subs, "/acme")
	hook := &between{name: "LockSubscriptionsOf", call: func() {
		_, err := pool.Exec(t.Context(), "UPDATE riverhook.subscription SET site = '/acme-group'")
		require.NoError(t, err)
		subscribeAt(t, subs, "/acme")
		tree.chain, tree.version = []hierarchy.Path{"/acme-group", "/"}, "2"
	}}
	n, err := subs.traced(t, hook).DeleteByOwner(t.Context(), specAt("/").Owner, &DeleteByOwnerOpts{Above: "/acme"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	left, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, hierarchy.Path("/acme"), left[0].Site)
}

func TestDeleteByOwner_AboveInATreeThatChangesAllTheTime(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	version := 0
	root := treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { return []hierarchy.Path{"/"}, nil })
	tree := versionedFunc{root, func() string {
		version++
		return strings.Repeat("v", version)
	}}
	_, err := newSubscriptions(t, pool).byTree(tree).DeleteByOwner(t.Context(), "ada", &DeleteByOwnerOpts{Above: "/a"})
	require.ErrorIs(t, err, hierarchy.ErrTreeChanges)
}

type versionedFunc struct {
	treeFunc

	version func() string
}

func (v versionedFunc) Version(context.Context) (string, error) { return v.version(), nil }

func TestWithin_AncestorsOfAConfinedStore(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/c")
	_, err := sites.Move(t.Context(), "/a/b", "/c")
	require.NoError(t, err)
	all := newSubscriptions(t, pool).byTree(sites)
	chain, err := all.Ancestors(t.Context(), "/a/b")
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/c/b", "/c", "/"}, chain)
	chain, err = within(t, all, "/a").Ancestors(t.Context(), "/a")
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/a", "/"}, chain)
	_, err = within(t, all, "/a").Ancestors(t.Context(), "/a/b")
	require.ErrorIs(t, err, ErrNotFound)
	require.NotContains(t, err.Error(), "/c", "what is elsewhere is not shown")
}
