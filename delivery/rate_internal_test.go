package delivery

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/subscription"
)

// What an application says of an owner that is no rate is no limit, and is logged once.
func TestRateOf_ThatSaysNoRateIsLoggedOnce(t *testing.T) {
	t.Parallel()
	for why, bad := range map[string]func() subscription.Rate{
		"panic: nobody knows": func() subscription.Rate { panic("nobody knows") },
		"Events: is -1":       func() subscription.Rate { return subscription.Rate{Events: -1} },
	} {
		var text bytes.Buffer
		rateOf := ratesBy(func(owner string) subscription.Rate {
			if owner == "good" {
				return subscription.Rate{Events: 2}
			}
			return bad()
		}, slog.New(slog.NewTextHandler(&text, nil)))
		require.Equal(t, attempt.NewRate(2, time.Second, 2), rateOf("good"))
		require.Empty(t, text.String())
		for range 2 {
			require.False(t, rateOf("bad").IsLimit())
		}
		require.Equal(t, 1, strings.Count(text.String(), "Limits.RateOf fails"))
		require.Contains(t, text.String(), why)
	}
}
