package delivery

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var classifyNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func retryAfterHeader(value string) http.Header {
	return http.Header{"Retry-After": {value}}
}

func TestRetryAfterIsReadAsSecondsOrDateAndBounded(t *testing.T) {
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
		got, named := retryAfter(retryAfterHeader(value), classifyNow)
		require.Equal(t, want, got, "%q", value)
		require.Equal(t, got > 0 || value == "0" || value == "Sun, 01 Mar 2026 11:59:59 GMT" || value == "Sun, 01 Mar 2026 12:00:00 GMT",
			named, "%q", value)
	}
	got, named := retryAfter(nil, classifyNow)
	require.Zero(t, got)
	require.False(t, named)
}

func TestADateOfRetryAfterCountsFromTheReceiversClock(t *testing.T) {
	t.Parallel()
	for date, want := range map[string]time.Duration{
		"Sun, 01 Mar 2026 11:00:00 GMT": 30 * time.Minute, // an hour behind ours
		"Sun, 01 Mar 2026 13:00:00 GMT": 0,
		"yesterday":                     0,
	} {
		header := retryAfterHeader("Sun, 01 Mar 2026 11:30:00 GMT")
		header.Set("Date", date)
		got, _ := retryAfter(header, classifyNow)
		require.Equal(t, want, got, date)
	}
}
