package maintain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/subscription"
)

func TestRules_HoldFromTheirEdgeOn(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	off := subscription.DeactivationRules{
		Attempts:     subscription.NoRule,
		Exhausted:    subscription.NoRule,
		Failures:     subscription.NoRule,
		Unresolvable: subscription.NoRule,
		Warning:      subscription.NoRule,
	}
	window := off
	failures := off
	exhausted := off
	unresolvable := off
	window.Attempts, window.Window = 10, hour
	failures.Failures = 250
	exhausted.Exhausted, exhausted.ExhaustedWindow = 50, hour
	unresolvable.Unresolvable = 50
	for name, c := range map[string]struct {
		rules        subscription.DeactivationRules
		below, above tally
	}{
		"attempts":      {window, tally{Failed: 9, FailingFor: 2 * hour}, tally{Failed: 10, FailingFor: 2 * hour}},
		"window":        {window, tally{Failed: 90, FailingFor: hour}, tally{Failed: 90, FailingFor: hour + 1}},
		"failures":      {failures, tally{Failed: 249, FailingFor: 99 * hour}, tally{Failed: 250}},
		"exhausted":     {exhausted, tally{Exhausted: 49, ExhaustedFor: 2 * hour}, tally{Exhausted: 50, ExhaustedFor: 2 * hour}},
		"exhausted for": {exhausted, tally{Exhausted: 90, ExhaustedFor: hour}, tally{Exhausted: 90, ExhaustedFor: hour + 1}},
		"unresolvable":  {unresolvable, tally{Unresolvable: 49}, tally{Unresolvable: 50}},
		"gone": {
			off,
			tally{
				Failed:       1000,
				Exhausted:    1000,
				Unresolvable: 1000,
				FailingFor:   9999 * hour,
				ExhaustedFor: 9999 * hour,
			},
			tally{Gone: true},
		},
	} {
		require.Empty(t, c.below.deactivates(&c.rules), name)
		require.NotEmpty(t, c.above.deactivates(&c.rules), name)
		require.Empty(t, c.above.warns(&c.rules), name)
	}
}
