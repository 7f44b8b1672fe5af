package delivery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
)

// marked is an externalizer whose data is its name.
func marked(name string) Externalizer {
	return func(context.Context, dialect.Event) ([]byte, error) { return []byte(name), nil }
}

// found is the name of the marked externalizer that is found; "none": none is.
func found(t require.TestingT, x *Externalizers, dialectName, kind, eventType string) string {
	externalize := x.find(dialectName, kind, eventType)
	if externalize == nil {
		return "none"
	}
	name, err := externalize(context.Background(), dialect.Event{})
	require.NoError(t, err)
	return string(name)
}

func TestExternalizers_HaveOneForEachCombination(t *testing.T) {
	t.Parallel()

	type entry struct{ dialect, kind, pattern string }
	setup := func(t *testing.T, entries ...entry) *Externalizers {
		t.Helper()
		x := &Externalizers{}
		for _, e := range entries {
			require.NoError(t, x.Register(e.dialect, e.kind, e.pattern, marked(fmt.Sprint(e))))
		}
		return x
	}
	find := func(x *Externalizers, dialectName, kind, eventType string) string {
		return found(t, x, dialectName, kind, eventType)
	}

	t.Run("TakeTheMostSpecificWhateverTheOrderOfRegistration", func(t *testing.T) {
		t.Parallel()
		entries := []entry{
			{"standard", "user", "user.created"},
			{"standard", "user", "user.*"},
			{"standard", "user", "*.created"},
			{"standard", "user", "user.**"},
			{"standard", "user", "**"},
			{"standard", "", "user.created"},
			{"standard", "", ""},
			{"", "user", "user.created"},
			{"", "user", ""},
			{"", "", "user.created"},
			{"", "", ""},
		}
		for name, order := range map[string][]entry{"as they are": entries, "backward": reversed(entries)} {
			x := setup(t, order...)
			for event, want := range map[[3]string]entry{
				{"standard", "user", "user.created"}:      {"standard", "user", "user.created"},
				{"standard", "user", "user.deleted"}:      {"standard", "user", "user.*"},
				{"standard", "user", "user.name.changed"}: {"standard", "user", "user.**"},
				{"standard", "user", "office.created"}:    {"standard", "user", "*.created"},
				{"standard", "user", "office.deleted"}:    {"standard", "user", "**"},
				{"standard", "office", "user.created"}:    {"standard", "", "user.created"},
				{"standard", "office", "office.created"}:  {"standard", "", ""},
				{"standard", "", "office.created"}:        {"standard", "", ""},
				{"plain", "user", "user.created"}:         {"", "user", "user.created"},
				{"plain", "user", "user.deleted"}:         {"", "user", ""},
				{"plain", "office", "user.created"}:       {"", "", "user.created"},
				{"plain", "office", "office.closed"}:      {"", "", ""},
			} {
				require.Equal(t, fmt.Sprint(want), find(x, event[0], event[1], event[2]), "%s: %v", name, event)
			}
		}
	})

	t.Run("FindNothingWhereNoneApplies", func(t *testing.T) {
		t.Parallel()
		x := setup(t, entry{"standard", "user", "user.*"})
		require.Equal(t, "none", find(x, "plain", "user", "user.created"))
		require.Equal(t, "none", find(x, "standard", "office", "user.created"))
		require.Equal(t, "none", find(x, "standard", "user", "office.created"))
		require.Equal(t, "none", find(nil, "standard", "user", "user.created"))
		require.Equal(t, "none", find(&Externalizers{}, "standard", "user", "user.created"))
	})

	t.Run("RefuseATakenCombinationAndChangeNothing", func(t *testing.T) {
		t.Parallel()
		x := setup(t, entry{"standard", "user", "user.*"}, entry{"", "", ""})
		require.ErrorContains(t, x.Register("standard", "user", "user.*", marked("late")), "is taken")
		require.ErrorContains(t, x.Register("", "", "**", marked("late")), "is taken", "** is any, as the empty pattern is")
		require.Equal(t, "{standard user user.*}", find(x, "standard", "user", "user.created"))
		require.Equal(t, "{  }", find(x, "plain", "user", "user.created"))
	})

	t.Run("RefuseWhatMakesNoSense", func(t *testing.T) {
		t.Parallel()
		x := &Externalizers{}
		require.ErrorContains(t, x.Register("", "", "", nil), "nil")
		require.ErrorContains(t, x.Register("No Name", "", "", marked("")), `"No Name"`)
		for _, pattern := range []string{"user", "**.user", "User.*", "a..b", "*"} {
			require.Error(t, x.Register("", "", pattern, marked("")), pattern)
		}
		require.Equal(t, "none", find(x, "standard", "user", "user.created"))
	})

	t.Run("AreSafeForConcurrentUse", func(t *testing.T) {
		t.Parallel()
		x := &Externalizers{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_ = x.Register("", fmt.Sprint("kind", i), "", marked("x"))
				_ = x.find("standard", "kind0", "user.created")
			})
		}
		wg.Wait()
		require.Equal(t, "x", find(x, "standard", "kind7", "user.created"))
	})
}

// What is found does not depend on the order of registration, it matches, and
// nothing that matches as well is more specific by the documented rule.
func TestExternalizers_FindTheMostSpecificOfAny(t *testing.T) {
	t.Parallel()
	dialects, kinds := []string{"", "a", "b"}, []string{"", "k", "l"}
	patterns := []string{
		"**", "x.y", "x.*", "*.y", "*.*", "x.**", "*.**", "x.y.z", "x.*.z", "x.y.*", "x.y.**", "*.y.**",
		"before:**", "before:x.y", "before:*.y", "before:x.*",
	}
	types := []string{"x.y", "x.z", "x.y.z", "y.y", "y.x.z", "before:x.y", "before:y.y"}
	score := func(e externalizerEntry) string {
		var b strings.Builder
		for _, wildcard := range []bool{e.dialect == "", e.kind == ""} {
			fmt.Fprint(&b, map[bool]int{false: 0, true: 1}[wildcard])
		}
		for segment := range strings.SplitSeq(strings.TrimPrefix(e.pattern, eventtype.BeforePrefix), ".") {
			fmt.Fprint(&b, map[string]int{"*": 1, "**": 2}[segment])
		}
		return b.String()
	}
	rapid.Check(t, func(t *rapid.T) {
		x := &Externalizers{}
		var entries []externalizerEntry
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			e := externalizerEntry{
				dialect: rapid.SampledFrom(dialects).Draw(t, "dialect"),
				kind:    rapid.SampledFrom(kinds).Draw(t, "kind"),
				pattern: rapid.SampledFrom(patterns).Draw(t, "pattern"),
			}
			e.externalizer = marked(nameOf(e))
			if x.Register(e.dialect, e.kind, e.pattern, e.externalizer) == nil {
				entries = append(entries, e)
			}
		}
		dialectName, kind := rapid.SampledFrom(dialects[1:]).Draw(t, "d"), rapid.SampledFrom(kinds).Draw(t, "k")
		eventType := rapid.SampledFrom(types).Draw(t, "type")

		want, best := "none", "9"
		for _, e := range entries {
			applies := (e.dialect == "" || e.dialect == dialectName) && (e.kind == "" || e.kind == kind) &&
				event.MatchPattern(e.pattern, eventType)
			if applies && score(e) < best {
				best, want = score(e), nameOf(e)
			}
		}
		require.Equal(t, want, found(t, x, dialectName, kind, eventType))
	})
}

func nameOf(e externalizerEntry) string { return fmt.Sprint(e.dialect, "|", e.kind, "|", e.pattern) }

func reversed[T any](in []T) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[len(in)-1-i] = v
	}
	return out
}
