package outbox

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// reached are the types that one of them extends, directly or through others.
func reached(extends map[string][]string, from string) []string {
	var seen []string
	for frontier := []string{from}; len(frontier) > 0; frontier = frontier[1:] {
		for _, next := range extends[frontier[0]] {
			if !slices.Contains(seen, next) {
				seen = append(seen, next)
				frontier = append(frontier, next)
			}
		}
	}
	return seen
}

// Types are registered and registered again, in any order and with any umbrella
// types, and then each finds the subscriptions that the definition says.
func TestUmbrellas_FindTheSubscriptionsOfTheModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	types := eventTypes(t, b)
	subs, err := subscription.NewStore(b.pool, &subscription.Config{
		CheckURL: func(string) error { return nil }, Sealer: seal.Clear(),
	})
	require.NoError(t, err)
	names := []string{"a.a", "a.b", "b.b", "b.c", "c.c", "a.b.c"}
	patterns := map[uuid.UUID]string{}
	for _, pattern := range append([]string{"a.*", "*.b", "b.**", "*.*.*", "**"}, names...) {
		created, err := subs.Create(t.Context(), subscription.Spec{
			Events:   []string{pattern},
			Operator: true,
			Site:     "/",
			URL:      "https://example.com/" + pattern[:1],
		})
		require.NoError(t, err)
		patterns[created.ID] = pattern
	}
	resolver, err := hierarchy.NewResolver(b.pool, nil)
	require.NoError(t, err)

	rapid.Check(t, func(rt *rapid.T) {
		_, err := b.pool.Exec(t.Context(), "DELETE FROM riverhook.event_type")
		require.NoError(rt, err)
		name := rapid.SampledFrom(names)
		extends := map[string][]string{}
		for range rapid.IntRange(1, 6).Draw(rt, "registrations") {
			change := rapid.MapOfN(name, rapid.SliceOfNDistinct(name, 0, 3, rapid.ID), 1, 3).Draw(rt, "change")
			after := maps.Clone(extends)
			maps.Copy(after, change)
			var given []EventType
			for _, n := range slices.Sorted(maps.Keys(change)) {
				given = append(given, EventType{Name: n, Extends: change[n]})
			}
			err := types.Register(t.Context(), given...)
			if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(reached(after, n), n) }) {
				require.ErrorIs(rt, err, ErrInvalidEventType, "a cycle")
				continue
			}
			require.NoError(rt, err)
			extends = after
		}
		lookups := make([]hierarchy.Lookup, len(names))
		for i, n := range names {
			lookups[i] = hierarchy.Lookup{Type: n, Site: "/x"}
		}
		matches, err := resolver.Resolve(t.Context(), lookups)
		require.NoError(rt, err)
		for i, n := range names {
			var want, got []string
			for _, pattern := range patterns {
				if slices.ContainsFunc(append(reached(extends, n), n), func(m string) bool { return event.MatchPattern(pattern, m) }) {
					want = append(want, pattern)
				}
			}
			for _, m := range matches[i] {
				got = append(got, patterns[m.SubscriptionID])
			}
			require.ElementsMatch(rt, want, got, "%s with %v", n, extends)
		}
	})
}
