package delivery

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
)

// The listings of the history match a pattern by a regular expression of Postgres.
func FuzzHistory_APatternMeansWhatItMeansInASubscription(f *testing.F) {
	for _, seed := range [][2]string{
		{"**", "a.b"},
		{"user.*", "user.created"},
		{"user.**", "user.role.added"},
		{"*.*", "a.b.c"},
		{"a.*.**", "a.b"},
		{"a_.b", "a_.b"},
		{"before:**", "before:a"},
		{"before:*", "before:a"},
		{"**", "before:a.b"},
		{"before:a.*", "a.b"},
		{"before:a.**", "before:a.b.c"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, eventType string) {
		if event.CheckPattern(pattern) != nil || event.CheckType(eventType) != nil && eventtype.CheckQuestionType(eventType) != nil {
			return
		}
		require.Equal(t, event.MatchPattern(pattern, eventType), regexp.MustCompile(patternRegex(pattern)).MatchString(eventType))
	})
}
