package delivery

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/event"
)

// The listings of the history match a pattern by a regular expression of Postgres.
func FuzzAPatternInAListingMeansWhatItMeansInASubscription(f *testing.F) {
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
		if event.CheckPattern(pattern) != nil || event.CheckType(eventType) != nil && event.CheckQuestionType(eventType) != nil {
			return
		}
		require.Equal(t, event.MatchPattern(pattern, eventType), regexp.MustCompile(patternRegex(pattern)).MatchString(eventType))
	})
}

func FuzzTheReasonOfAVetoIsOneLineFitToBeShown(f *testing.F) {
	for _, seed := range []string{
		``, `{"reason":"no"}`, `{"reason":7}`, `{"reason":"\u202e\ud800\u0000\n no"}`, "{\"reason\":\"\xff\"}", `null`, `[]`,
		`{"reason":"` + strings.Repeat("e\u0301", 600) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reason := vetoReason(body)
		require.True(t, utf8.ValidString(reason))
		require.LessOrEqual(t, utf8.RuneCountInString(reason), maxVetoReason+len("..."))
		require.Equal(t, strings.TrimSpace(reason), reason)
		for _, r := range reason {
			require.True(t, unicode.IsPrint(r), "%q", r)
		}
	})
}
