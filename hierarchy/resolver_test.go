package hierarchy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/subscription"
)

func newResolver(t *testing.T, pool *pgxpool.Pool, cfg *hierarchy.ResolverConfig) *hierarchy.Resolver {
	t.Helper()
	r, err := hierarchy.NewResolver(pool, cfg)
	require.NoError(t, err)
	return r
}

func resolveOne(t *testing.T, r *hierarchy.Resolver, l hierarchy.Lookup) []hierarchy.Match {
	t.Helper()
	matches, err := r.Resolve(t.Context(), []hierarchy.Lookup{l})
	require.NoError(t, err)
	require.Len(t, matches, 1)
	return matches[0]
}

// matchedSites is where the subscriptions that apply sit, in their order.
func matchedSites(matches []hierarchy.Match) (sites []hierarchy.Path) {
	for _, m := range matches {
		sites = append(sites, m.Site)
	}
	return sites
}

func TestResolve_FollowsTheSitesRule(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	for _, site := range []hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaa/nws/ama", "/noaa/nos", "/noaax"} {
		subscribeAt(t, subs, site)
	}
	near, chain := newResolver(t, pool, nil), newResolver(t, pool, &hierarchy.ResolverConfig{ActiveChain: true})
	for _, c := range []struct {
		name              string
		site, active      hierarchy.Path
		want, activeChain []hierarchy.Path
	}{
		{"the whole chain", "/noaa/nws/oun", "", []hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun"}, nil},
		{"no descendants, no siblings", "/noaa/nws", "", []hierarchy.Path{"/", "/noaa", "/noaa/nws"}, nil},
		{"no site", "", "", []hierarchy.Path{"/"}, nil},
		{"no such site", "/noaa/nws/x/y", "", []hierarchy.Path{"/", "/noaa", "/noaa/nws"}, nil},
		{
			"the active site itself", "/noaa/nos", "/noaa/nws/oun",
			[]hierarchy.Path{"/", "/noaa", "/noaa/nws/oun", "/noaa/nos"},
			[]hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaa/nos"},
		},
		{
			"an active site without a resource's", "", "/noaa/nws/oun",
			[]hierarchy.Path{"/", "/noaa/nws/oun"},
			[]hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun"},
		},
		{"an active site below", "/noaa/nws", "/noaa/nws/ama", []hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/ama"}, nil},
		{"an active site above", "/noaa/nws/oun", "/noaa", []hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun"}, nil},
		{"an active site that is the same", "/noaax", "/noaax", []hierarchy.Path{"/", "/noaax"}, nil},
	} {
		l := hierarchy.Lookup{
			ActiveSite: c.active,
			Site:       c.site,
			Type:       "user.created",
		}
		require.Equal(t, c.want, matchedSites(resolveOne(t, near, l)), c.name)
		if c.activeChain == nil {
			c.activeChain = c.want
		}
		require.Equal(t, c.activeChain, matchedSites(resolveOne(t, chain, l)), c.name)
	}
}

func TestResolve_AMatchSaysWhy(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	userExtendsPerson(t, pool)
	subscribeAt(t, subs, "/a/b", "order.*", "user.*", "**")
	subscribeAt(t, subs, "/a", "order.*", "person.*")
	subscribeAt(t, subs, "/x/y", "person.*", "user.created")
	subscribeAt(t, subs, "/x", "**")
	spec := specAt("/", "*.created")
	spec.Channels = []string{"c", "d"}
	_, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	subscribeAt(t, subs, "/", "person.deleted")

	matches := resolveOne(t, newResolver(t, pool, &hierarchy.ResolverConfig{ActiveChain: true}), hierarchy.Lookup{
		ActiveSite: "/x/y",
		Channel:    "d",
		Site:       "/a/b",
		Type:       "user.created",
	})
	got := make([][3]string, len(matches))
	for i, m := range matches {
		got[i] = [3]string{string(m.Site), m.Pattern, m.Why}
	}
	require.Equal(t, [][3]string{
		{"/a/b", "user.*", `at the resource's site "/a/b"; user.created matches "user.*"`},
		{"/a", "person.*", `at "/a", above the resource's site "/a/b"; a type that user.created extends matches "person.*"`},
		{"/x/y", "user.created", `at the active site "/x/y"; user.created matches "user.created"`},
		{"/x", "**", `at "/x", above the active site "/x/y"; user.created matches "**"`},
		{"/", "*.created", `at "/", above the resource's site "/a/b"; user.created matches "*.created"; on channel "d"`},
	}, got)
}

func TestResolve_ChannelsFollowTheirTruthTable(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	r := newResolver(t, pool, nil)
	for _, c := range []struct {
		channels []string
		channel  string
		hears    bool
	}{
		{nil, "", true},
		{nil, "c", true},
		{[]string{"c"}, "", false},
		{[]string{"c"}, "C", false},
		{[]string{"c"}, "c", true},
		{[]string{"c"}, "d", false},
		{[]string{"c", "d"}, "c", true},
		{[]string{"c", "d"}, "d", true},
		{[]string{"c", "d"}, "c, d", false},
	} {
		spec := specAt(hierarchy.Path("/" + uuid.NewString()))
		spec.Channels = c.channels
		_, err := subs.Create(t.Context(), spec)
		require.NoError(t, err)
		got := resolveOne(t, r, hierarchy.Lookup{
			Channel: c.channel,
			Site:    spec.Site,
			Type:    "a.b",
		})
		require.Equal(t, c.hears, len(got) == 1, "%+v", c)
	}
}

func TestResolve_PausedAndDeactivatedOnesAreFoundAndDeletedOnesAreNot(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	active, paused := subscribeAt(t, subs, "/a"), subscribeAt(t, subs, "/a")
	deactivated, deleted := subscribeAt(t, subs, "/a"), subscribeAt(t, subs, "/a")
	_, err := subs.Pause(ctx, paused.ID)
	require.NoError(t, err)
	_, err = subs.Deactivate(ctx, deactivated.ID, "because")
	require.NoError(t, err)
	require.NoError(t, subs.Delete(ctx, deleted.ID))
	found, err := newResolver(t, pool, nil).Resolve(ctx, []hierarchy.Lookup{{Site: "/a", Type: "a.b"}})
	require.NoError(t, err)
	require.Len(t, found[0], 3)
	for i, s := range []*subscription.Created{active, paused, deactivated} {
		require.Equal(t, s.ID, found[0][i].SubscriptionID)
	}

	many, err := subs.GetMany(ctx, []uuid.UUID{deleted.ID, active.ID, {}})
	require.NoError(t, err)
	require.Len(t, many, 2)
	require.Equal(t, active.ID, many[0].ID)
	require.NotNil(t, many[1].DeletedAt)
}

func TestResolve_GoesOnBehindASubscriptionAndEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	r := newResolver(t, pool, nil)
	all := make([]uuid.UUID, 10)
	for i := range all {
		site := []hierarchy.Path{"/", "/a", "/a/b"}[i%3]
		all[i] = subscribeAt(t, subs, site).ID
		subscribeAt(t, subs, site, "other.type")
	}
	for _, limit := range []int{0, 1, 3, 10, 11} {
		l := hierarchy.Lookup{
			Limit: limit,
			Site:  "/a/b",
			Type:  "user.created",
		}
		var got []uuid.UUID
		for {
			page := resolveOne(t, r, l)
			if limit > 0 {
				require.LessOrEqual(t, len(page), limit)
			}
			for _, m := range page {
				got = append(got, m.SubscriptionID)
				l.After = m.SubscriptionID
			}
			require.LessOrEqual(t, len(got), len(all), "a page does not go on behind the one before")
			if limit == 0 || len(page) < limit {
				break
			}
		}
		require.Equal(t, all, got, limit)
	}
}

func TestResolve_ManyLookupsAreOneStatementInEachExecMode(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	for i := range 50 {
		spec := specAt(hierarchy.Path(fmt.Sprintf("/s%d", i)), fmt.Sprintf("user.e%d", i), "order.*")
		spec.Headers = map[string]string{"X-A": "'é"}
		_, err := subs.Create(t.Context(), spec)
		require.NoError(t, err)
	}
	for _, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			other := pgtest.PoolIn(t, pool, mode)
			r := newResolver(t, other, nil)
			lookups := make([]hierarchy.Lookup, 60)
			for i := range lookups {
				lookups[i] = hierarchy.Lookup{
					Channel: `"{}',`,
					Limit:   i % 3,
					Site:    hierarchy.Path(fmt.Sprintf("/s%d", i)),
					Type:    fmt.Sprintf("user.e%d", i),
				}
			}
			_, err := r.Resolve(t.Context(), lookups[:1]) // the first one looks at how the session is set
			require.NoError(t, err)
			before := other.Stat().AcquireCount()
			for range 7 { // past the executions after which Postgres reconsiders a plan
				matches, err := r.Resolve(t.Context(), lookups)
				require.NoError(t, err)
				require.Len(t, matches, 60)
				for i := range lookups {
					require.Equal(t, i < 50, len(matches[i]) == 1, i)
				}
			}
			require.EqualValues(t, 7, other.Stat().AcquireCount()-before)
		})
	}
}

func TestResolve_NoLookupsHaveNoMatches(t *testing.T) {
	t.Parallel()
	matches, err := newResolver(t, pgtest.Pool(t), nil).Resolve(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, matches)
}

func TestResolve_LeavesNoSettingOnTheConnection(t *testing.T) {
	t.Parallel()
	pool := pgtest.PoolSize(t, 1)
	r := newResolver(t, pool, nil)
	resolveOne(t, r, hierarchy.Lookup{Type: "a.b"})
	var bitmap string
	require.NoError(t, pool.QueryRow(t.Context(), `SHOW enable_bitmapscan`).Scan(&bitmap))
	require.Equal(t, "on", bitmap)
}

func TestResolve_AMoveBetweenCommitAndExpansionForgetsNobody(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool, "/noaa", "/noaa/nws", "/noaa/nws/oun", "/archive")
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	root, noaa := subscribeAt(t, subs, "/"), subscribeAt(t, subs, "/noaa")
	oun, archive := subscribeAt(t, subs, "/noaa/nws/oun"), subscribeAt(t, subs, "/archive")
	r := newResolver(t, pool, &hierarchy.ResolverConfig{Tree: sites})
	told := func(l hierarchy.Lookup) (ids []uuid.UUID) {
		l.Type = "user.created"
		for _, m := range resolveOne(t, r, l) {
			ids = append(ids, m.SubscriptionID)
		}
		return ids
	}
	written := hierarchy.Lookup{Site: "/noaa/nws/oun"}
	require.Equal(t, []uuid.UUID{root.ID, noaa.ID, oun.ID}, told(written))
	_, err := sites.Move(ctx, "/noaa/nws", "/archive")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{root.ID, oun.ID, archive.ID}, told(written))
	require.Equal(t, []uuid.UUID{root.ID, oun.ID}, told(hierarchy.Lookup{ActiveSite: "/noaa/nws/oun"}))
	require.NoError(t, sites.Delete(ctx, "/archive/nws", &hierarchy.DeleteSiteOpts{Recursive: true}))
	require.Equal(t, []uuid.UUID{root.ID, archive.ID}, told(written))
	require.Equal(t, []uuid.UUID{root.ID, noaa.ID, archive.ID}, told(hierarchy.Lookup{ActiveSite: "/noaa/nws/oun", Site: "/noaa"}))
}

type treeFunc func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error)

func (f treeFunc) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return f(ctx, p)
}

type batchFunc func(ctx context.Context, paths []hierarchy.Path) ([][]hierarchy.Path, error)

func (batchFunc) Ancestors(context.Context, hierarchy.Path) ([]hierarchy.Path, error) {
	panic("asked one by one")
}

func (f batchFunc) AncestorsMany(ctx context.Context, paths []hierarchy.Path) ([][]hierarchy.Path, error) {
	return f(ctx, paths)
}

func TestResolve_ATreeIsAskedOnceForEachPathWithNoConnectionHeld(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subscribeAt(t, newSubscriptions(t, pool), "/top")
	lookups := []hierarchy.Lookup{
		{
			ActiveSite: "/b",
			Site:       "/a",
			Type:       "a.b",
		}, {
			ActiveSite: "/a",
			Site:       "/b",
			Type:       "a.b",
		}, {Site: "/a", Type: "a.b"},
	}
	asked := 0
	one := treeFunc(func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
		asked++
		require.Zero(t, pool.Stat().AcquiredConns())
		_, hasDeadline := ctx.Deadline()
		require.True(t, hasDeadline)
		return []hierarchy.Path{p, "/top", "/"}, nil
	})
	many := batchFunc(func(ctx context.Context, paths []hierarchy.Path) (chains [][]hierarchy.Path, err error) {
		for _, p := range paths {
			chain, _ := one(ctx, p)
			chains = append(chains, chain)
		}
		return chains, nil
	})
	for _, tree := range []hierarchy.Tree{one, many} {
		asked = 0
		matches, err := newResolver(t, pool, &hierarchy.ResolverConfig{Tree: tree}).Resolve(t.Context(), lookups)
		require.NoError(t, err)
		require.Equal(t, 2, asked)
		for _, m := range matches {
			require.Equal(t, []hierarchy.Path{"/top"}, matchedSites(m))
		}
	}
}

func TestResolve_ATreeThatCannotAnswerFailsTheLookups(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	errDown := errors.New("directory is down")
	answer := func(chain ...hierarchy.Path) hierarchy.Tree {
		return treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { return chain, nil })
	}
	hanging := treeFunc(func(ctx context.Context, _ hierarchy.Path) ([]hierarchy.Path, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for why, tree := range map[string]hierarchy.Tree{
		`ancestors of "/a": directory is down`: treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { return nil, errDown }),
		"context deadline exceeded":            hanging,
		"panic: boom":                          treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) { panic("boom") }),
		"0 answers for 1 paths": batchFunc(func(context.Context, []hierarchy.Path) ([][]hierarchy.Path, error) {
			return nil, nil
		}),
		`0 sites that do not end with "/"`:                                    answer(),
		`1 sites that do not end with "/"`:                                    answer("/a"),
		`"/a b": segment 1: holds ' '`:                                        answer("/a b", "/"),
		`ancestors of "/a": the tree broke its contract: "/a" is there twice`: answer("/a", "/a", "/"),
	} {
		r := newResolver(t, pool, &hierarchy.ResolverConfig{Tree: tree, TreeTimeout: 1e8})
		_, err := r.Resolve(t.Context(), []hierarchy.Lookup{{Site: "/a", Type: "a.b"}})
		require.ErrorContains(t, err, "hierarchy: resolve: ")
		require.ErrorContains(t, err, why)
	}
}

func TestResolve_ALookupThatCannotBeIsRefusedByItsIntent(t *testing.T) {
	t.Parallel()
	r := newResolver(t, pgtest.Pool(t), nil)
	id := uuid.Must(uuid.NewV7())
	for why, l := range map[string]hierarchy.Lookup{
		"Limit: is -1": {
			IntentID: id,
			Limit:    -1,
			Type:     "a.b",
		},
		"event type": {IntentID: id, Type: "a"},
	} {
		_, err := r.Resolve(t.Context(), []hierarchy.Lookup{{Type: "a.b"}, l})
		require.ErrorContains(t, err, "hierarchy: resolve: intent "+id.String()+": "+why)
	}
}

func TestResolve_FailsWhenTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newResolver(t, pool, &hierarchy.ResolverConfig{Schema: "elsewhere"})
	_, err := r.Resolve(t.Context(), []hierarchy.Lookup{{Type: "a.b"}})
	require.ErrorContains(t, err, "42P01")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Resolve(ctx, []hierarchy.Lookup{{Type: "a.b"}})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, pool.Stat().AcquiredConns())
}
