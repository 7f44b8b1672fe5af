package hierarchy_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/subscription"
)

// applies is the whole rule, for trees by path arithmetic: what the statement
// finds by index must be what this finds by looking at each subscription.
func applies(s subscription.Subscription, l hierarchy.Lookup, extends map[string][]string, activeChain bool) bool {
	bySite := s.Site.Contains(sitetree.OrRoot(l.Site)) ||
		l.ActiveSite != "" && (s.Site == l.ActiveSite || activeChain && s.Site.Contains(l.ActiveSite))
	name, before := eventtype.Split(l.Type)
	byType := slices.ContainsFunc(s.Events, func(pattern string) bool {
		return event.MatchPattern(pattern, l.Type) || slices.ContainsFunc(extends[name], func(umbrella string) bool {
			return event.MatchPattern(pattern, before+umbrella)
		})
	})
	byChannel := len(s.Channels) == 0 || slices.Contains(s.Channels, l.Channel)
	return bySite && byType && byChannel && bytes.Compare(s.ID[:], l.After[:]) > 0
}

func TestResolve_WhoIsToldFollowsTheModel(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	types := []string{"a.b", "a.c", "b.a", "a.b.c", "b.a.c", "before:a.b", "before:a", "before:b.a", "before:a.b.c"}
	extends := map[string][]string{"a.b": {"b.a"}, "a.b.c": {"b.a", "b.a.c"}}
	for name, umbrellas := range extends {
		var patterns []string
		for _, u := range umbrellas {
			patterns = append(patterns, eventtype.Patterns(u)...)
		}
		_, err := pool.Exec(ctx,
			`INSERT INTO riverhook.event_type (name, extends, umbrella_patterns) VALUES ($1, $2, $3)`, name, umbrellas, patterns)
		require.NoError(t, err)
	}
	resolvers := map[bool]*hierarchy.Resolver{
		false: newResolver(t, pool, nil),
		true:  newResolver(t, pool, &hierarchy.ResolverConfig{ActiveChain: true}),
	}
	pattern := rapid.SampledFrom([]string{
		"**", "a.*", "a.**", "*.a", "b.*", "a.b", "a.c", "*.b.*", "b.a.c", "*.*",
		"before:**", "before:*", "before:a.*", "before:b.*", "before:a.b", "before:*.*.c",
	})
	channel := rapid.SampledFrom([]string{"c", "C", "d"})
	rapid.Check(t, func(t *rapid.T) {
		_, err := pool.Exec(ctx, `DELETE FROM riverhook.secret; DELETE FROM riverhook.subscription`)
		require.NoError(t, err)
		count := rapid.IntRange(1, 12).Draw(t, "subscriptions")
		all := make([]subscription.Subscription, 0, count)
		byID := make(map[uuid.UUID]subscription.Subscription, count)
		for range count {
			spec := specAt(genSmallPath().Draw(t, "site"), rapid.SliceOfNDistinct(pattern, 1, 3, rapid.ID).Draw(t, "events")...)
			spec.Channels = rapid.SliceOfNDistinct(channel, 0, 2, rapid.ID).Draw(t, "channels")
			created, err := subs.Create(ctx, spec)
			require.NoError(t, err)
			all = append(all, created.Subscription)
			byID[created.ID] = created.Subscription
		}
		activeChain := rapid.Bool().Draw(t, "active chain")
		lookups := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) hierarchy.Lookup {
			l := hierarchy.Lookup{
				Channel: rapid.SampledFrom([]string{"", "c", "C", "x"}).Draw(t, "channel"),
				Limit:   rapid.IntRange(0, 4).Draw(t, "limit"),
				Site:    genSmallPath().Draw(t, "site"),
				Type:    rapid.SampledFrom(types).Draw(t, "type"),
			}
			if rapid.Bool().Draw(t, "active") {
				l.ActiveSite = genSmallPath().Draw(t, "active site")
			}
			if rapid.Bool().Draw(t, "after") {
				l.After = rapid.SampledFrom(all).Draw(t, "after id").ID
			}
			return l
		}), 1, 8).Draw(t, "lookups")

		matches, err := resolvers[activeChain].Resolve(ctx, lookups)
		require.NoError(t, err)
		for i, l := range lookups {
			var want, got []uuid.UUID
			for _, s := range all {
				if applies(s, l, extends, activeChain) && (l.Limit == 0 || len(want) < l.Limit) {
					want = append(want, s.ID)
				}
			}
			for _, m := range matches[i] {
				got = append(got, m.SubscriptionID)
				only := byID[m.SubscriptionID]
				require.Contains(t, only.Events, m.Pattern)
				only.Events = []string{m.Pattern}
				require.True(t, applies(only, l, extends, activeChain))
				require.NotEmpty(t, m.Why)
			}
			require.Equal(t, want, got, "%+v", l)
		}
	})
}
