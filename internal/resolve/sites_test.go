package resolve_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
)

// treeFunc is a tree of the application.
type treeFunc func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error)

func (f treeFunc) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return f(ctx, p)
}

func TestResolver_SitesOfALookupAreInTheOrderInWhichTheyAreReached(t *testing.T) {
	t.Parallel()
	r := resolve.New(pgtest.Pool(t), resolve.Config{ActiveChain: true})
	sites, _, err := r.Sites(t.Context(), resolve.Lookup{Site: "/a/b", ActiveSite: "/a/c/d"})
	require.NoError(t, err)
	require.Equal(t, []resolve.ReachedSite{
		{"/a/b", `at the resource's site "/a/b"`},
		{"/a", `at "/a", above the resource's site "/a/b"`},
		{"/", `at "/", above the resource's site "/a/b"`},
		{"/a/c/d", `at the active site "/a/c/d"`},
		{"/a/c", `at "/a/c", above the active site "/a/c/d"`},
	}, sites)
	tree := treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { return nil, nil })
	_, _, err = resolve.New(pgtest.Pool(t), resolve.Config{Tree: tree}).Sites(t.Context(), resolve.Lookup{Site: "/a"})
	require.ErrorContains(t, err, "hierarchy: sites: ")
}
