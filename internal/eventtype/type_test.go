package eventtype

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestCheckEventType_SaysWhatIsWrongWithANameThatIsNone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"user.created", "a.b", "0._", "a.b.c.d.e.f.g.h", "a." + strings.Repeat("b", 126),
	} {
		require.NoError(t, CheckType(good), good)
	}
	for bad, why := range map[string]string{
		"":                              "2 to 8 segments",
		"user":                          "2 to 8 segments",
		"a.b.c.d.e.f.g.h.i":             "2 to 8 segments",
		"User.created":                  "segment 1: holds 'U'",
		"user.":                         "segment 2: is empty",
		".user":                         "segment 1: is empty",
		"a..b":                          "segment 2: is empty",
		"user.*":                        "segment 2: holds '*'",
		"user.a-b":                      "segment 2: holds '-'",
		"user.created\n":                `segment 2: holds '\n'`,
		"a." + strings.Repeat("b", 127): "has 129 characters",
	} {
		require.ErrorContains(t, CheckType(bad), why, bad)
	}
}

func TestCheckPattern_SaysWhatIsWrongWithWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"**", "user.created", "user.*", "*.created", "*.*", "user.**", "*.**", "a.*.b", "a.b.c.d.e.f.g.**",
		strings.Repeat("b", 126) + ".**",
	} {
		require.NoError(t, CheckPattern(good), good)
	}
	for bad, why := range map[string]string{
		"":                               "2 to 8 segments",
		"*":                              `"**" matches all`,
		"user":                           "2 to 8 segments",
		"a.b.c.d.e.f.g.h.**":             "2 to 8 segments",
		"**.created":                     "last segment only",
		"a.**.b":                         "last segment only",
		"***":                            "2 to 8 segments",
		"a.***":                          "segment 2: holds '*'",
		"user.cre*":                      "segment 2: holds '*'",
		"user. *":                        "segment 2: holds ' '",
		"User.*":                         "segment 1: holds 'U'",
		"a..b":                           "segment 2: is empty",
		strings.Repeat("b", 127) + ".**": "at most 128 characters",
		strings.Repeat("b", 127) + ".b":  "at most 128 characters",
	} {
		require.ErrorContains(t, CheckPattern(bad), why, bad)
	}
}

func TestMatchPattern_GoesByWholeSegments(t *testing.T) {
	t.Parallel()
	for _, in := range [][2]string{
		{"**", "user.created"},
		{"*.*", "user.created"},
		{"*.created", "user.created"},
		{"*.**", "user.created"},
		{"user.*", "user.created"},
		{"user.**", "user.created"},
		{"user.**", "user.role.added"},
		{"user.*.added", "user.role.added"},
		{"user.created", "user.created"},
	} {
		require.True(t, MatchPattern(in[0], in[1]), in)
	}
	for _, out := range [][2]string{
		{"*", "user.created"},
		{"*.*", "user.role.added"},
		{"created.**", "user.created"},
		{"user", "user.created"},
		{"user.*", "user.role.added"},
		{"user.created.**", "user.created"},
		{"user.create", "user.created"},
		{"users.*", "user.created"},
		{"user.*.*", "user.created"},
		{"", "user.created"},
		{"**", ""},
	} {
		require.False(t, MatchPattern(out[0], out[1]), out)
	}
}

func genEventType() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "_", "a1"}), 2, 8), func(s []string) string {
		return strings.Join(s, ".")
	})
}

func genPattern() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "_", "a1", "*"}), 0, 7).Draw(t, "segments")
		last := rapid.SampledFrom([]string{"**", "*", "a"}).Draw(t, "last")
		if len(segments) == 0 {
			last = "**"
		}
		return strings.Join(append(segments, last), ".")
	})
}

// patternModel says what a pattern means as an expression.
func patternModel(pattern string) *regexp.Regexp {
	segments := strings.Split(pattern, ".")
	for i, s := range segments {
		switch s {
		case "*":
			segments[i] = `[a-z0-9_]+`
		case "**":
			segments[i] = `[a-z0-9_]+(\.[a-z0-9_]+)*`
		}
	}
	return regexp.MustCompile(`^` + strings.Join(segments, `\.`) + `$`)
}

func TestMatchPattern_MatchesWhatItsModelMatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, eventType := genPattern().Draw(t, "pattern"), genEventType().Draw(t, "type")
		require.NoError(t, CheckPattern(pattern))
		require.NoError(t, CheckType(eventType))
		matches := MatchPattern(pattern, eventType)
		require.Equal(t, patternModel(pattern).MatchString(eventType), matches)
		require.Equal(t, matches, slices.Contains(Patterns(eventType), pattern))
	})
}

func TestPatterns_OfATypeAreValidAndMatchIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		eventType := genEventType().Draw(t, "type")
		patterns := Patterns(eventType)
		require.Len(t, patterns, 2<<len(strings.Split(eventType, "."))-1)
		slices.Sort(patterns)
		require.Len(t, slices.Compact(patterns), len(patterns))
		for _, p := range patterns {
			require.NoError(t, CheckPattern(p))
			require.True(t, MatchPattern(p, eventType))
		}
	})
}

func TestMatchPattern_EveryValidPatternMatchesSomeType(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := genPattern().Draw(t, "pattern")
		eventType := strings.ReplaceAll(strings.ReplaceAll(pattern, "**", "a"), "*", "a")
		if pattern == "**" {
			eventType = "a.a"
		}
		require.NoError(t, CheckType(eventType))
		require.True(t, MatchPattern(pattern, eventType))
	})
}

func TestCheckEventType_AgreesWithTheSQLFunction(t *testing.T) {
	t.Parallel()
	gen := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "z9", "_", ".", ".", ".", "B", "*", "-", "\n", " ", "é", strings.Repeat("x", 60),
	}), 0, 12), func(s []string) string { return strings.Join(s, "") })
	types := make([]string, 0, 2030)
	for i := range 2000 {
		types = append(types, gen.Example(i))
	}
	for n := range 10 {
		prefix := strings.Repeat("a.", n)
		types = append(types, prefix+"a", prefix+strings.Repeat("b", 128-2*n), prefix+strings.Repeat("b", 129-2*n))
	}
	refused := pgtest.RefusedIntents(t, "type", types)
	for i, s := range types {
		require.Equal(t, refused[i], CheckType(s) != nil, s)
	}
}
