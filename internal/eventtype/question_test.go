package eventtype

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCheckQuestionType_SaysWhatIsWrongWithANameThatIsNone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"before:measure", "before:user.delete", "before:a.b.c.d.e.f.g.h", "before:" + strings.Repeat("b", 128),
	} {
		require.NoError(t, CheckQuestionType(good), good)
		require.NoError(t, CheckPattern(good), good)
		require.Error(t, CheckType(good), "no event has such a type")
	}
	for bad, why := range map[string]string{
		"":                                   `must begin with "before:"`,
		"user.delete":                        `must begin with "before:"`,
		"after:user.delete":                  `must begin with "before:"`,
		"Before:user.delete":                 `must begin with "before:"`,
		"before:":                            "segment 1: is empty",
		"before:user.*":                      "segment 2: holds '*'",
		"before:before:user":                 "segment 1: holds ':'",
		"before:a.b.c.d.e.f.g.h.i":           "1 to 8 segments",
		"before:" + strings.Repeat("b", 129): "has 129 characters",
	} {
		require.ErrorContains(t, CheckQuestionType(bad), why, bad)
	}
}

func TestPatterns_OfQuestionsMatchQuestionsAlone(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"before:**", "before:*", "before:*.*", "before:user.**", "before:*.delete"} {
		require.NoError(t, CheckPattern(good), good)
	}
	for bad, why := range map[string]string{
		"before:":                  "segment 1: is empty",
		"before:**.delete":         "last segment only",
		"before:before:**":         "segment 1: holds ':'",
		"before:User":              "segment 1: holds 'U'",
		"after:user.deleted":       "segment 1: holds ':'",
		"before:a.b.c.d.e.f.g.h.*": "1 to 8 segments",
		"user.before:x":            "segment 2: holds ':'",
	} {
		require.ErrorContains(t, CheckPattern(bad), why, bad)
	}
	for _, pattern := range []string{"**", "user.*", "user.delete"} {
		require.True(t, MatchPattern(BeforePrefix+pattern, "before:user.delete"), pattern)
		require.False(t, MatchPattern(BeforePrefix+pattern, "user.delete"), pattern)
		require.False(t, MatchPattern(pattern, "before:user.delete"), pattern)
	}
}

// A pattern and a type of events with "before:" on none, one or both of them: it
// matches where both have it or neither, and the names match.
func TestPatterns_OfQuestionsAndOfEventsAreApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern, eventType := genPattern().Draw(t, "pattern"), genEventType().Draw(t, "type")
		matches := patternModel(pattern).MatchString(eventType)
		for _, forQuestions := range []string{"", BeforePrefix} {
			for _, asked := range []string{"", BeforePrefix} {
				p, typ := forQuestions+pattern, asked+eventType
				require.NoError(t, CheckPattern(p))
				require.NoError(t, Check(typ))
				require.Equal(t, matches && forQuestions == asked, MatchPattern(p, typ), "%s %s", p, typ)
				require.Equal(t, MatchPattern(p, typ), slices.Contains(Patterns(typ), p), "%s %s", p, typ)
			}
		}
	})
}
