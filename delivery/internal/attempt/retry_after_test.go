package attempt

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func retryAfterHeader(value string) http.Header {
	return http.Header{"Retry-After": {value}}
}

func TestRetryAfter_IsSecondsOrDateAndBounded(t *testing.T) {
	t.Parallel()

	for value, want := range map[string]time.Duration{
		"":                                0,
		" ":                               0,
		"  7 ":                            7 * time.Second,
		"+5":                              0,
		"-5":                              0,
		"0":                               0,
		"007":                             7 * time.Second,
		"1.5":                             0,
		"120":                             2 * time.Minute,
		"1e3":                             0,
		"2026-03-01T12:05:00Z":            0,
		"5 minutes":                       0,
		"5, 10":                           0,
		"86400":                           24 * time.Hour,
		"86401":                           24 * time.Hour,
		"Mon, 02 Mar 2026 12:00:00 GMT":   24 * time.Hour,
		"Mon, 02 Mar 2026 12:00:01 GMT":   24 * time.Hour,
		"Sun Mar  1 12:05:00 2026":        5 * time.Minute,
		"Sun, 01 Mar 2026 11:59:59 GMT":   0,
		"Sun, 01 Mar 2026 12:00:00 GMT":   0,
		"Sun, 01 Mar 2026 12:05:00 GMT":   5 * time.Minute,
		"Sunday, 01-Mar-26 12:05:00 GMT":  5 * time.Minute,
		"Thu, 01 Jan 9999 00:00:00 GMT":   24 * time.Hour,
		"later":                           0,
		"١٢٠":                             0,
		strings.Repeat("9", 400):          24 * time.Hour,
		"9223372036854775807":             24 * time.Hour,
		"9223372036854775808":             24 * time.Hour,
		"\x00":                            0,
		"Sun, 01 Mar 2026 12:05:00 +0100": 0,
	} {
		got, named := readRetryAfter(retryAfterHeader(value), now)
		require.Equal(t, want, got, "%q", value)
		require.Equal(t, got > 0 || value == "0" || value == "Sun, 01 Mar 2026 11:59:59 GMT" || value == "Sun, 01 Mar 2026 12:00:00 GMT",
			named, "%q", value)
	}
	got, named := readRetryAfter(nil, now)
	require.Zero(t, got)
	require.False(t, named)
}

func TestRetryAfter_DateCountsFromTheReceiversClock(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]time.Duration{
		"Sun, 01 Mar 2026 11:00:00 GMT": 30 * time.Minute, // an hour behind ours
		"Sun, 01 Mar 2026 13:00:00 GMT": 0,
		"yesterday":                     0,
	} {
		header := retryAfterHeader("Sun, 01 Mar 2026 11:30:00 GMT")
		header.Set("Date", date)
		got, _ := readRetryAfter(header, now)
		require.Equal(t, want, got, date)
	}
}

func TestRetryAfter_StandsInForAThrottleThatNamesNoWait(t *testing.T) {
	t.Parallel()
	const throttled = time.Minute
	for _, tc := range []struct {
		status int
		value  string
		asked  time.Duration
	}{
		{http.StatusTooManyRequests, "", throttled},
		{http.StatusServiceUnavailable, "soon", throttled},
		{http.StatusServiceUnavailable, "0", 0},
		{http.StatusServiceUnavailable, "120", 2 * time.Minute},
		{http.StatusBadGateway, "", 0},
		{http.StatusOK, "120", 2 * time.Minute},
		{http.StatusOK, "", 0},
	} {
		_, asked := RetryAfter(tc.status, retryAfterHeader(tc.value), now, throttled)
		require.Equal(t, tc.asked, asked, "%d %q", tc.status, tc.value)
	}
}

func FuzzRetryAfter_IsNeverNegativeNorLongerThanADay(f *testing.F) {
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
		got, asked := RetryAfter(http.StatusServiceUnavailable, header, now, time.Hour)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, 24*time.Hour)
		require.Contains(t, []time.Duration{got, time.Hour}, asked)
	})
}
