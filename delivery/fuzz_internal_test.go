package delivery

import (
	"net/http"
	"regexp"
	"testing"
	"time"

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
		got := retryAfter(header, classifyNow)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, 24*time.Hour)
	})
}

// The listings of the history match a pattern by a regular expression of Postgres.
func FuzzAPatternInAListingMeansWhatItMeansInASubscription(f *testing.F) {
	for _, seed := range [][2]string{
		{"**", "a.b"}, {"user.*", "user.created"}, {"user.**", "user.role.added"}, {"*.*", "a.b.c"}, {"a.*.**", "a.b"}, {"a_.b", "a_.b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, eventType string) {
		if hierarchy.CheckPattern(pattern) != nil || hierarchy.CheckEventType(eventType) != nil {
			return
		}
		require.Equal(t, hierarchy.MatchPattern(pattern, eventType), regexp.MustCompile(patternRegex(pattern)).MatchString(eventType))
	})
}
