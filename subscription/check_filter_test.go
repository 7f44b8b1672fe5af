package subscription

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestFilter_IsCheckedStoredAndFoundWithItsSubscription(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	spec := specAt("/a")
	spec.Filter = "data.total == 1 ||\n\tdata.total == 2"

	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	require.Equal(t, spec.Filter, created.Filter)
	got, err := subs.Get(ctx, created.ID)
	require.NoError(t, err)
	require.Equal(t, spec.Filter, got.Filter)
	found, err := newResolver(t, pool, nil).Resolve(ctx, []hierarchy.Lookup{{Type: "a.b", Site: "/a"}})
	require.NoError(t, err)
	require.Len(t, found[0], 1, "it is found whatever its filter says")

	updated, err := subs.Update(ctx, created.ID, Update{Name: new("new")})
	require.NoError(t, err)
	require.Equal(t, spec.Filter, updated.Filter)
	_, err = subs.Update(ctx, created.ID, Update{Filter: new("true")})
	requireRefused(t, err, "Filter", "on update")
	require.ErrorIs(t, err, errNoComparison)
	updated, err = subs.Update(ctx, created.ID, Update{Filter: new("")})
	require.NoError(t, err)
	require.Empty(t, updated.Filter)
}

func TestFilter_IsRefusedWithoutACheck(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.CheckFilter = nil
	spec := specAt("/a")
	_, err := c.prepare(spec)
	require.NoError(t, err)

	spec.Filter = "a == 1"
	_, err = c.prepare(spec)
	requireRefused(t, err, "Filter", "")
	require.ErrorContains(t, err, "CheckFilter is not set")
}
