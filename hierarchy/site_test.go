package hierarchy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func sitePaths(t *testing.T, sites *hierarchy.Sites) []hierarchy.Path {
	t.Helper()
	list, err := listedSites(sites.List(t.Context(), &hierarchy.SiteListOpts{Limit: 1000}))
	require.NoError(t, err)
	paths := make([]hierarchy.Path, len(list))
	for i, s := range list {
		paths[i] = s.Path
	}
	return paths
}

func requireAncestors(t *testing.T, tree hierarchy.Tree, p hierarchy.Path, want ...hierarchy.Path) {
	t.Helper()
	got, err := tree.Ancestors(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func siteOfSub(t *testing.T, subs *subscription.Store, sub *subscription.Created) hierarchy.Path {
	t.Helper()
	got, err := subs.Get(t.Context(), sub.ID)
	require.NoError(t, err)
	return got.Site
}

func TestSites_CreateNeedsAParentAndAFreePath(t *testing.T) {
	t.Parallel()
	sites := newSites(t, pgtest.Pool(t))
	ctx := t.Context()
	_, err := sites.Create(ctx, "/a/b")
	require.ErrorIs(t, err, hierarchy.ErrNotFound)
	require.ErrorContains(t, err, `hierarchy: create site: parent: site "/a": not found`)
	created, err := sites.Create(ctx, "/a")
	require.NoError(t, err)
	_, err = sites.Create(ctx, "/a/b")
	require.NoError(t, err)
	for _, taken := range []hierarchy.Path{"/", "/a", "/a/b"} {
		_, err = sites.Create(ctx, taken)
		require.ErrorIs(t, err, hierarchy.ErrSiteExists)
	}
	for _, bad := range []hierarchy.Path{"", "a", "/a/", "/a b"} {
		_, err = sites.Create(ctx, bad)
		require.ErrorIs(t, err, hierarchy.ErrInvalidPath)
	}
	got, err := sites.Get(ctx, "/a")
	require.NoError(t, err)
	require.Equal(t, created, got)
	_, err = sites.Get(ctx, "/x")
	require.ErrorIs(t, err, hierarchy.ErrNotFound)
	require.Equal(t, []hierarchy.Path{"/", "/a", "/a/b"}, sitePaths(t, sites))
}

func TestSites_ListGoesBySubtreeByParentAndInPages(t *testing.T) {
	t.Parallel()
	sites := newSites(t, pgtest.Pool(t), "/a", "/a-b", "/a/b", "/a/b/c", "/a/d", "/ab")
	list := func(opts hierarchy.SiteListOpts) (paths []hierarchy.Path) {
		got, err := listedSites(sites.List(t.Context(), &opts))
		require.NoError(t, err)
		for _, s := range got {
			paths = append(paths, s.Path)
		}
		return paths
	}
	require.Equal(t, []hierarchy.Path{"/", "/a", "/a-b", "/a/b", "/a/b/c", "/a/d", "/ab"}, list(hierarchy.SiteListOpts{}))
	require.Equal(t, []hierarchy.Path{"/a", "/a/b", "/a/b/c", "/a/d"}, list(hierarchy.SiteListOpts{Under: "/a"}))
	require.Equal(t, []hierarchy.Path{"/a/b", "/a/d"}, list(hierarchy.SiteListOpts{Parent: "/a"}))
	require.Equal(t, []hierarchy.Path{"/a", "/a-b", "/ab"}, list(hierarchy.SiteListOpts{Parent: "/"}))
	require.Equal(t, []hierarchy.Path{"/a/d"}, list(hierarchy.SiteListOpts{Cursor: cursor.Sites.OfText("/a/b"), Parent: "/a"}))
	require.Equal(t, []hierarchy.Path{"/", "/a"}, list(hierarchy.SiteListOpts{Limit: 2}))
	first, err := sites.List(t.Context(), &hierarchy.SiteListOpts{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/a-b", "/a/b"}, list(hierarchy.SiteListOpts{Cursor: first.Next, Limit: 2}))
	all, err := sites.List(t.Context(), &hierarchy.SiteListOpts{Limit: 7})
	require.NoError(t, err)
	require.Empty(t, all.Next)
	require.Empty(t, list(hierarchy.SiteListOpts{Under: "/x"}))
}

func TestSites_RenameLeavesASiteUnderItsFormerPaths(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaax")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	at := subscribeAt(t, subs, "/noaa/nws")
	below := subscribeAt(t, subs, "/noaa/nws/oun")
	beside := subscribeAt(t, subs, "/noaax")
	before, err := sites.Get(ctx, "/noaa/nws")
	require.NoError(t, err)

	after, err := sites.Rename(ctx, "/noaa/nws", "weather")
	require.NoError(t, err)
	require.Equal(t, before.ID, after.ID)
	require.Equal(t, hierarchy.Path("/noaa/weather"), after.Path)
	require.Equal(t, []hierarchy.Path{"/", "/noaa", "/noaa/weather", "/noaa/weather/oun", "/noaax"}, sitePaths(t, sites))
	requireAncestors(t, sites, "/noaa/nws", "/noaa/weather", "/noaa", "/")
	requireAncestors(t, sites, "/noaa/nws/oun", "/noaa/weather/oun", "/noaa/weather", "/noaa", "/")
	requireAncestors(t, sites, "/noaa/nws/unknown", "/noaa/weather", "/noaa", "/")
	require.Equal(t, hierarchy.Path("/noaa/weather"), siteOfSub(t, subs, at))
	require.Equal(t, hierarchy.Path("/noaa/weather/oun"), siteOfSub(t, subs, below))
	require.Equal(t, hierarchy.Path("/noaax"), siteOfSub(t, subs, beside))

	// Twice renamed: both former paths lead here. Renamed back: a site again.
	_, err = sites.Rename(ctx, "/noaa", "agency")
	require.NoError(t, err)
	requireAncestors(t, sites, "/noaa/nws/oun", "/agency/weather/oun", "/agency/weather", "/agency", "/")
	requireAncestors(t, sites, "/noaa/weather", "/agency/weather", "/agency", "/")
	_, err = sites.Rename(ctx, "/agency", "noaa")
	require.NoError(t, err)
	requireAncestors(t, sites, "/noaa/weather", "/noaa/weather", "/noaa", "/")
	requireAncestors(t, sites, "/agency/weather", "/noaa/weather", "/noaa", "/")
	same, err := sites.Rename(ctx, "/noaa", "noaa")
	require.NoError(t, err)
	require.Equal(t, hierarchy.Path("/noaa"), same.Path)
}

func TestSites_MoveTakesAllThatIsBelowAlong(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/a/b/c", "/x", "/x/b")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	unknown := subscribeAt(t, subs, "/a/b/not-a-site")
	_, err := sites.Move(ctx, "/a/b", "/x")
	require.ErrorIs(t, err, hierarchy.ErrSiteExists)
	_, err = sites.Rename(ctx, "/x/b", "d")
	require.NoError(t, err)
	moved, err := sites.Move(ctx, "/a/b", "/x") // over the alias of /x/d
	require.NoError(t, err)
	require.Equal(t, hierarchy.Path("/x/b"), moved.Path)
	require.Equal(t, []hierarchy.Path{"/", "/a", "/x", "/x/b", "/x/b/c", "/x/d"}, sitePaths(t, sites))
	requireAncestors(t, sites, "/x/b", "/x/b", "/x", "/")
	requireAncestors(t, sites, "/a/b/c", "/x/b/c", "/x/b", "/x", "/")
	require.Equal(t, hierarchy.Path("/x/b/not-a-site"), siteOfSub(t, subs, unknown))
	_, err = sites.Move(ctx, "/x/b", "/")
	require.NoError(t, err)
	requireAncestors(t, sites, "/a/b/c", "/b/c", "/b", "/")
	children, err := listedSites(sites.List(ctx, &hierarchy.SiteListOpts{Parent: "/b"}))
	require.NoError(t, err)
	require.Len(t, children, 1)
}

func TestSites_MoveThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	sites := newSites(t, pgtest.Pool(t), "/a", "/a/b", "/a/b/c", "/x")
	ctx := t.Context()
	before := sitePaths(t, sites)
	move := func(p, to hierarchy.Path) error { _, err := sites.Move(ctx, p, to); return err }
	rename := func(p hierarchy.Path, segment string) error { _, err := sites.Rename(ctx, p, segment); return err }
	require.ErrorIs(t, move("/", "/a"), hierarchy.ErrRootSite)
	require.ErrorIs(t, rename("/", "a"), hierarchy.ErrRootSite)
	require.ErrorIs(t, move("/a", "/a"), hierarchy.ErrSiteCycle)
	require.ErrorIs(t, move("/a", "/a/b/c"), hierarchy.ErrSiteCycle)
	require.ErrorIs(t, move("/q", "/a"), hierarchy.ErrNotFound)
	require.ErrorIs(t, move("/a", "/q"), hierarchy.ErrNotFound)
	require.ErrorIs(t, move("", "/a"), hierarchy.ErrInvalidPath)
	require.ErrorIs(t, rename("/a", "x"), hierarchy.ErrSiteExists)
	for _, segment := range []string{"", ".", "..", "b/c", "b c", strings.Repeat("s", 65)} {
		require.ErrorIs(t, rename("/a", segment), hierarchy.ErrInvalidPath)
	}
	require.Equal(t, before, sitePaths(t, sites))
}

func TestSites_MoveToAPathThatIsTooLongOrTooDeepIsRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	grow := func(p hierarchy.Path, segment string, depth int) hierarchy.Path {
		for range depth {
			p = hierarchy.Child(p, segment)
			_, err := sites.Create(ctx, p)
			require.NoError(t, err)
		}
		return p
	}
	refused := func(p, to hierarchy.Path, why string) {
		t.Helper()
		_, err := sites.Move(ctx, p, to)
		require.ErrorIs(t, err, hierarchy.ErrInvalidPath)
		require.ErrorContains(t, err, why)
	}
	deep := grow(hierarchy.Root, "d", 31)
	refused("/a", deep, "33 segments")
	_, err := sites.Move(ctx, "/a/b", deep) // 32 are allowed
	require.NoError(t, err)

	long := grow(hierarchy.Root, strings.Repeat("l", 64), 7)
	below := hierarchy.Path("/a/" + strings.Repeat("s", 55))
	sub := subscribeAt(t, subs, below) // counts although it is not at a site
	refused("/a", long, "would have 513 bytes")
	_, err = subs.Update(ctx, sub.ID, subscription.Update{Site: new(below[:len(below)-1])})
	require.NoError(t, err)
	_, err = sites.Move(ctx, "/a", long) // 512 are allowed
	require.NoError(t, err)
	require.Len(t, siteOfSub(t, subs, sub), 512)
}

func TestSites_DeleteLeadsToTheNearestAncestorThatLives(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/a/b/c", "/a/d")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	above := subscribeAt(t, subs, "/a")
	at := subscribeAt(t, subs, "/a/b")
	below := subscribeAt(t, subs, "/a/b/c")
	_, err := subs.Deactivate(ctx, below.ID, "before")
	require.NoError(t, err)
	_, err = subs.Pause(ctx, at.ID)
	require.NoError(t, err)
	_, err = sites.Rename(ctx, "/a/b/c", "e")
	require.NoError(t, err)

	require.ErrorIs(t, sites.Delete(ctx, "/", nil), hierarchy.ErrRootSite)
	require.ErrorIs(t, sites.Delete(ctx, "/x", nil), hierarchy.ErrNotFound)
	require.ErrorIs(t, sites.Delete(ctx, "/a/b", nil), hierarchy.ErrSiteHasChildren)
	require.ErrorIs(t, sites.Delete(ctx, "/a/b", &hierarchy.DeleteSiteOpts{}), hierarchy.ErrSiteHasChildren)
	require.NoError(t, sites.Delete(ctx, "/a/b", &hierarchy.DeleteSiteOpts{Recursive: true}))

	require.Equal(t, []hierarchy.Path{"/", "/a", "/a/d"}, sitePaths(t, sites))
	for _, p := range []hierarchy.Path{"/a/b", "/a/b/c", "/a/b/e", "/a/b/e/f"} {
		requireAncestors(t, sites, p, "/a", "/")
	}
	state := func(sub *subscription.Created) string {
		got, err := subs.Get(ctx, sub.ID)
		require.NoError(t, err)
		return fmt.Sprint(got.Site, " ", got.State, " ", got.StateReason, " ", got.Epoch)
	}
	require.Equal(t, "/a active  1", state(above))
	require.Equal(t, "/a/b deactivated site deleted 2", state(at))
	require.Equal(t, "/a/b/e deactivated before 2", state(below))

	// The heir moves and goes; the paths follow.
	_, err = sites.Rename(ctx, "/a", "z")
	require.NoError(t, err)
	requireAncestors(t, sites, "/a/b/c", "/z", "/")
	require.NoError(t, sites.Delete(ctx, "/z", &hierarchy.DeleteSiteOpts{Recursive: true}))
	requireAncestors(t, sites, "/a/b/c", "/")

	// A new site takes over a path, and what is below it that is not one.
	_, err = sites.Create(ctx, "/a")
	require.NoError(t, err)
	requireAncestors(t, sites, "/a", "/a", "/")
	requireAncestors(t, sites, "/a/new", "/a", "/")
	requireAncestors(t, sites, "/a/b", "/a", "/")
}

func TestCreate_PlacesNoSubscriptionAtAFormerPath(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/c")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	sub := subscribeAt(t, subs, "/a/b")
	other := subscribeAt(t, subs, "/c")
	_, err := sites.Rename(ctx, "/c", "d")
	require.NoError(t, err)
	require.NoError(t, sites.Delete(ctx, "/a/b", nil))
	errs := map[string]error{}
	_, errs[`"/c" is a former path; it leads to "/d" now`] = subs.Create(ctx, specAt("/c"))
	_, errs[`"/a/b" is a former path; it leads to "/a" now`] = subs.Create(ctx, specAt("/a/b"))
	_, errs[`"/a/b" is a former path;`] = subs.Activate(ctx, sub.ID, nil)
	_, errs[`"/c" is a former path;`] = subs.Update(ctx, other.ID, subscription.Update{Site: new(hierarchy.Path("/c"))})
	for why, err := range errs {
		require.ErrorIs(t, err, subscription.ErrInvalid)
		require.ErrorContains(t, err, "Site: "+why)
	}
	_, err = subs.Update(ctx, sub.ID, subscription.Update{Site: new(hierarchy.Path("/a"))})
	require.NoError(t, err)
	changed, err := subs.Activate(ctx, sub.ID, nil)
	require.NoError(t, err)
	require.True(t, changed)

	strict, err := subscription.NewStore(pool, &subscription.Config{
		CheckURL:    checkHTTPS,
		RequireSite: true,
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	_, err = strict.Create(ctx, specAt("/a/unknown"))
	require.ErrorContains(t, err, `Site: there is no site "/a/unknown"`)
	for _, p := range []hierarchy.Path{"", "/a"} {
		_, err = strict.Create(ctx, specAt(p))
		require.NoError(t, err)
	}
}

func TestSites_WorkInEachExecMode(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for i, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			sites := newSites(t, pgtest.PoolIn(t, pool, mode))
			ctx := t.Context()
			top := hierarchy.Path(fmt.Sprintf("/m%d", i))
			for _, p := range []hierarchy.Path{top, top + "/a", top + "/a/b", top + "/c"} {
				_, err := sites.Create(ctx, p)
				require.NoError(t, err)
			}
			_, err := sites.Move(ctx, top+"/a", top+"/c")
			require.NoError(t, err)
			_, err = sites.Rename(ctx, top+"/c", "d")
			require.NoError(t, err)
			chains, err := sites.AncestorsMany(ctx, []hierarchy.Path{top + "/a/b", "/", top + "/c", "/unknown"})
			require.NoError(t, err)
			require.Equal(t, [][]hierarchy.Path{(top + "/d/a/b").Ancestors(), {"/"}, (top + "/d").Ancestors(), {"/"}}, chains)
			for _, opts := range []hierarchy.SiteListOpts{{Parent: top + "/d"}, {Under: top + "/d/a/b"}} {
				list, err := listedSites(sites.List(ctx, &opts))
				require.NoError(t, err)
				require.Len(t, list, 1)
			}
			require.NoError(t, sites.Delete(ctx, top, &hierarchy.DeleteSiteOpts{Recursive: true}))
		})
	}
}

func TestSites_ARollbackUndoesTheirChanges(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a", "/a/b", "/c")
	subs := newSubscriptions(t, pool)
	sub := subscribeAt(t, subs, "/a/b")
	ctx := t.Context()
	pgtest.RolledBack(t, pool, func(tx pgx.Tx) {
		_, err := sites.In(tx).Create(ctx, "/a/b/n")
		require.NoError(t, err)
		_, err = sites.In(tx).Move(ctx, "/a/b", "/c")
		require.NoError(t, err)
		_, err = sites.In(tx).Rename(ctx, "/c", "d")
		require.NoError(t, err)
		_, err = sites.In(tx).Get(ctx, "/d/b/n")
		require.NoError(t, err)
		chain, err := sites.In(tx).Ancestors(ctx, "/a/b/n")
		require.NoError(t, err)
		require.Equal(t, hierarchy.Path("/d/b/n").Ancestors(), chain)
		list, err := listedSites(sites.In(tx).List(ctx, &hierarchy.SiteListOpts{Under: "/d"}))
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.NoError(t, sites.In(tx).Delete(ctx, "/d", &hierarchy.DeleteSiteOpts{Recursive: true}))
	})
	require.Equal(t, []hierarchy.Path{"/", "/a", "/a/b", "/c"}, sitePaths(t, sites))
	requireAncestors(t, sites, "/a/b", "/a/b", "/a", "/")
	require.Equal(t, hierarchy.Path("/a/b"), siteOfSub(t, subs, sub))
}

func TestSites_ChangesThatRaceCannotMakeACycle(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	for round := range 30 {
		top := hierarchy.Path(fmt.Sprintf("/%d", round))
		sites := newSites(t, pool, top, top+"/a", top+"/a/x", top+"/b", top+"/b/y")
		changes := []func() error{
			func() error { _, err := sites.Move(ctx, top+"/a", top+"/b/y"); return err },
			func() error { _, err := sites.Move(ctx, top+"/b", top+"/a/x"); return err },
			func() error { return sites.Delete(ctx, top+"/a/x", nil) },
			func() error { _, err := sites.Create(ctx, top+"/b/y/z"); return err },
		}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, change := range changes {
			wg.Go(func() {
				<-start
				_ = change()
			})
		}
		close(start)
		wg.Wait()
		requireTree(t, sites)
	}
}

func TestSites_AreNotChangedOnAnOldSnapshot(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/a")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: level})
		require.NoError(t, err)
		for what, change := range map[string]func() error{
			"create": func() error { _, err := sites.In(tx).Create(ctx, "/b"); return err },
			"delete": func() error { return sites.In(tx).Delete(ctx, "/a", nil) },
			"rename": func() error { _, err := sites.In(tx).Rename(ctx, "/a", "b"); return err },
		} {
			require.ErrorIs(t, change(), hierarchy.ErrIsolation, what)
		}
		_, err = sites.In(tx).Get(ctx, "/a")
		require.NoError(t, err)
		_, err = sites.Rename(ctx, "/a", "b")
		require.NoError(t, err)
		_, err = subs.In(tx).Create(ctx, specAt("/a")) // there, on this snapshot
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "40001", pgErr.Code)
		require.NoError(t, tx.Rollback(ctx))
		_, err = sites.Rename(ctx, "/b", "a")
		require.NoError(t, err)
	}
}

// requireTree checks that each path is its parent's with a segment more, which
// no cycle and no lost move could satisfy.
func requireTree(t require.TestingT, sites *hierarchy.Sites) {
	ctx, cancel := testContext(t)
	defer cancel()
	var broken int
	require.NoError(t, sites.Pool().QueryRow(ctx, `
		SELECT count(*) FROM riverhook.site s LEFT JOIN riverhook.site p ON p.id = s.parent_id
		WHERE s.path <> '/' AND (p.id IS NULL OR s.path !~ '/[^/]+$'
			OR CASE p.path WHEN '/' THEN '' ELSE p.path END <> regexp_replace(s.path, '/[^/]+$', ''))`).Scan(&broken))
	require.Zero(t, broken)
	require.NoError(t, sites.Pool().QueryRow(ctx, `
		SELECT count(*) FROM riverhook.site s JOIN riverhook.site_alias a ON a.path = s.path WHERE a.ended = 9223372036854775807`).Scan(&broken))
	require.Zero(t, broken)
}

func TestSites_MoveLeavesNoSubscriptionBehindThatIsCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	for round := range 20 {
		from := hierarchy.Path(fmt.Sprintf("/from%d", round))
		sites := newSites(t, pool, from)
		var wg sync.WaitGroup
		var created *subscription.Created
		var createErr, moveErr error
		wg.Go(func() { created, createErr = subs.Create(ctx, specAt(from)) })
		wg.Go(func() { _, moveErr = sites.Rename(ctx, from, fmt.Sprintf("to%d", round)) })
		wg.Wait()
		require.NoError(t, moveErr)
		if createErr != nil {
			require.ErrorIs(t, createErr, subscription.ErrInvalid)
			continue
		}
		require.Equal(t, hierarchy.Path(fmt.Sprintf("/to%d", round)), siteOfSub(t, subs, created))
	}
}

// listedSites are the sites of a page.
func listedSites(page *hierarchy.SitePage, err error) ([]hierarchy.Site, error) {
	if err != nil {
		return nil, err
	}
	return page.Sites, nil
}
