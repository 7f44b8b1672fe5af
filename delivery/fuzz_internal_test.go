package delivery

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
)

func FuzzRetryAfterIsNeverNegativeNorLongerThanADay(f *testing.F) {
	const date = "Sun, 01 Mar 2026 12:05:00 GMT"
	for _, seed := range [][2]string{
		{"", ""},
		{"120", ""},
		{"-1", ""},
		{date, ""},
		{"99999999999999999999", date},
		{"Sun Mar  1 12:05:00 2026", date},
		{date, "Mon, 01 Jan 0001 00:00:00 GMT"},
		{"Thu, 01 Jan 9999 00:00:00 GMT", "yesterday"},
		{"1, 2", ""},
		{"\x00", "\x00"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		header := http.Header{"Retry-After": {value}, "Date": {date}}
		got, _ := retryAfter(header, classifyNow)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, 24*time.Hour)
	})
}

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
		if hierarchy.CheckPattern(pattern) != nil || hierarchy.CheckEventType(eventType) != nil && hierarchy.CheckQuestionType(eventType) != nil {
			return
		}
		require.Equal(t, hierarchy.MatchPattern(pattern, eventType), regexp.MustCompile(patternRegex(pattern)).MatchString(eventType))
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
