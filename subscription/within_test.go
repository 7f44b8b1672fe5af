package subscription

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// unconfined are the methods whose answer to what is outside of the store is
// another than ErrNotFound, and what it is.
var unconfined = map[string]string{
	"Ancestors":     "see TestWithin_AncestorsOfAConfinedStore",
	"As":            "is the store itself",
	"Create":        "an InvalidError: see TestWithin_NothingIsMadeOrMovedOutside",
	"DeleteByOwner": "none are deleted",
	"Diff":          "the same",
	"GetMany":       "it is left out",
	"List":          "it is left out",
	"Reseal":        "it is left as it is: see TestWithin_ResealsItsOwn",
	"Within":        "see TestWithin_IsConfinedFurther",
}

func within(t *testing.T, subs *Store, site hierarchy.Path) *Store {
	t.Helper()
	confined, err := subs.Within(site)
	require.NoError(t, err)
	return confined
}

func TestWithin_EachMethodKeepsToItsSubtree(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	all := newSubscriptions(t, pool)
	subs := within(t, all, "/a")
	for _, method := range methodsOf(subs) {
		why, other := unconfined[baseName(method)]
		if base := baseName(method); base == "Ancestors" || base == "As" || base == "Within" {
			continue
		}
		for _, site := range []hierarchy.Path{"/", "/ab", "/b/a"} {
			outside := aimAt(t, all, site)
			before := rowsOf(t, pool)
			out, err := call(t, pool, subs, method, outside)
			require.Equal(t, before, rowsOf(t, pool), "%s at %s", method, site)
			switch {
			case !other:
				require.ErrorIs(t, err, ErrNotFound, "%s at %s", method, site)
			case baseName(method) == "Create" || baseName(method) == "Diff":
				require.ErrorIs(t, err, ErrInvalid, "%s at %s", method, site)
			default:
				require.NoError(t, err, "%s at %s: %s", method, site, why)
				require.False(t, shows(out[0], outside.id), "%s at %s: %s", method, site, why)
			}
			require.NoError(t, all.Delete(t.Context(), outside.id))
		}
		for _, site := range []hierarchy.Path{"/a", "/a/b"} {
			inside := aimAt(t, all, site)
			_, err := call(t, pool, subs, method, inside)
			require.NoError(t, err, "%s at %s", method, site)
			_, err = all.DeleteByOwner(t.Context(), inside.owner, nil)
			require.NoError(t, err)
		}
	}
}

func TestWithin_NothingIsMadeOrMovedOutside(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	all := newSubscriptions(t, pool)
	sites := newSites(t, pool, "/a", "/a/old", "/b")
	subs := within(t, all, "/a")
	created := subscribeAt(t, subs, "/a")
	refused := func(err error) {
		t.Helper()
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "Site", invalid.Field)
		require.NotContains(t, err.Error(), "/b/secret", "what is elsewhere is not shown")
	}
	_, err := sites.Move(t.Context(), "/a/old", "/b")
	require.NoError(t, err)
	_, err = sites.Rename(t.Context(), "/b/old", "secret")
	require.NoError(t, err)
	for _, site := range []hierarchy.Path{"", "/", "/b", "/ab", "/a/old"} {
		_, err := subs.Create(t.Context(), specAt(site))
		refused(err)
		_, err = subs.Update(t.Context(), created.ID, Update{Site: &site})
		refused(err)
	}
	_, err = subs.Update(t.Context(), created.ID, Update{Site: new(hierarchy.Path("/a/b"))})
	require.NoError(t, err)

	outside := subscribeAt(t, all, "/b")
	_, err = subs.Diff(t.Context(), outside.ID, specAt("/a"))
	require.ErrorIs(t, err, ErrNotFound)

	// What moves away with its site is not followed.
	_, err = sites.Create(t.Context(), "/a/c")
	require.NoError(t, err)
	moved := subscribeAt(t, subs, "/a/c")
	_, err = sites.Move(t.Context(), "/a/c", "/b")
	require.NoError(t, err)
	_, err = subs.Get(t.Context(), moved.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestWithin_AListNeverLeavesItsSubtree(t *testing.T) {
	t.Parallel()
	all := newSubscriptions(t, pgtest.Pool(t))
	subs := within(t, all, "/a")
	for _, site := range []hierarchy.Path{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b"} {
		subscribeAt(t, all, site)
	}
	owner := specAt("/").Owner
	for _, c := range []struct {
		opts *ListOpts
		want []hierarchy.Path
	}{
		{nil, []hierarchy.Path{"/a", "/a/b", "/a/b/c"}},
		{&ListOpts{Owner: owner}, []hierarchy.Path{"/a", "/a/b", "/a/b/c"}},
		{&ListOpts{Owner: owner, Under: "/b"}, nil},
		{&ListOpts{IncludeDeleted: true}, []hierarchy.Path{"/a", "/a/b", "/a/b/c"}},
		{&ListOpts{Under: "/a/b"}, []hierarchy.Path{"/a/b", "/a/b/c"}},
		{&ListOpts{Under: "/"}, []hierarchy.Path{"/a", "/a/b", "/a/b/c"}},
		{&ListOpts{Under: "/b"}, nil},
		{&ListOpts{Under: "/ab"}, nil},
		{&ListOpts{Site: "/a/b"}, []hierarchy.Path{"/a/b"}},
		{&ListOpts{Site: "/b"}, nil},
		{&ListOpts{Site: "/"}, nil},
	} {
		list, err := listed(subs.List(t.Context(), c.opts))
		require.NoError(t, err)
		var got []hierarchy.Path
		for _, sub := range list {
			got = append(got, sub.Site)
		}
		require.Equal(t, c.want, got, "%+v", c.opts)
	}
	for _, c := range []struct {
		opts *DeleteByOwnerOpts
		want int
	}{
		{&DeleteByOwnerOpts{Under: "/b"}, 0},
		{&DeleteByOwnerOpts{Above: "/b"}, 0},
		{&DeleteByOwnerOpts{Above: "/a/b"}, 2},
		{nil, 1},
	} {
		n, err := subs.DeleteByOwner(t.Context(), owner, c.opts)
		require.NoError(t, err)
		require.Equal(t, c.want, n, "%+v", c.opts)
	}
	left, err := listed(all.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, 3)
}

func TestWithin_LimitsCountItsOwn(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	all := newSubscriptions(t, pool)
	for range 3 {
		subscribeAt(t, all, "/b")
	}
	subs, err := NewStore(pool, &Config{
		CheckURL:    checkHTTPS,
		MaxPerOwner: 2,
		RootSite:    "/a",
		Sealer:      testSealer(t),
	})
	require.NoError(t, err)
	subscribeAt(t, subs, "/a")
	subscribeAt(t, subs, "/a/b")
	_, err = subs.Create(t.Context(), specAt("/a/c"))
	require.ErrorIs(t, err, ErrLimit)
}

func TestWithin_ResealsItsOwn(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	all := newSubscriptions(t, pool)
	subscribeAt(t, all, "/a/b")
	subscribeAt(t, all, "/b")
	result, err := within(t, all, "/a").Reseal(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, result.Current)
	result, err = all.Reseal(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 2, result.Current)
}

func TestWithin_IsConfinedFurther(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	all := newSubscriptions(t, pool)
	tenant := within(t, all, "/a")
	_, err := within(t, tenant, "/a/b").Create(t.Context(), specAt("/a"))
	require.ErrorIs(t, err, ErrInvalid)
	subscribeAt(t, tenant, "/a") // is itself as it was
	for _, site := range []hierarchy.Path{"/", "/b", "/ab"} {
		_, err := tenant.Within(site)
		require.ErrorIs(t, err, ErrNotFound)
	}
	_, err = all.Within("a")
	require.ErrorIs(t, err, hierarchy.ErrInvalidPath)
	_, err = NewStore(pool, &Config{
		CheckURL: checkHTTPS,
		RootSite: "/a/",
		Sealer:   testSealer(t),
	})
	require.ErrorContains(t, err, "RootSite: ")

	// A principal has no more of it than the store.
	created := subscribeAt(t, all, "/b")
	_, err = tenant.As("ann", allow("view")).Get(t.Context(), created.ID)
	require.ErrorIs(t, err, ErrNotFound)
}
