package maintain

import (
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// tally is what is counted against a subscription in its epoch, by the clock of the
// database.
type tally struct {
	Failed       int           // attempts in a row
	FailingFor   time.Duration // since the first of them
	FailingSince time.Time     // to be shown
	Exhausted    int           // deliveries in a row
	ExhaustedFor time.Duration // since the first of them
	Unresolvable int
	Gone         bool // it answered 410
}

func tallyOf(row *store.TroubledRow) tally {
	t := tally{Gone: row.Gone}
	if row.Unresolved {
		t.Unresolvable = row.Unresolvable
	}
	if row.Failing && row.FailingSince != nil {
		t.Failed = row.FailedAttempts
		t.FailingFor = time.Duration(row.FailingMs) * time.Millisecond
		t.FailingSince = *row.FailingSince
		t.Exhausted, t.ExhaustedFor = row.ExhaustedRow, time.Duration(row.ExhaustedMs)*time.Millisecond
	}
	return t
}

func rulesOf(row *store.TroubledRow) subscription.DeactivationRules {
	return subscription.DeactivationRules{
		Attempts:        int(row.AttemptsRule),
		Exhausted:       int(row.ExhaustedRule),
		Failures:        int(row.FailuresRule),
		Unresolvable:    int(row.UnresolvableRule),
		Warning:         int(row.WarningRule),
		ExhaustedWindow: time.Duration(row.ExhaustedWindowMs) * time.Millisecond,
		Window:          time.Duration(row.WindowMs) * time.Millisecond,
	}
}

// deactivates is the reason for which a rule deactivates the subscription; "": no rule
// does.
func (t *tally) deactivates(r *subscription.DeactivationRules) string {
	switch {
	case t.Gone:
		return "the endpoint answered 410 Gone"
	case reached(t.Failed, r.Attempts, 1) && t.FailingFor > r.Window:
		return t.failures() + " since " + t.FailingSince.UTC().Format("2006-01-02 15:04 MST")
	case reached(t.Failed, r.Failures, 1):
		return t.failures()
	case reached(t.Exhausted, r.Exhausted, 1) && t.ExhaustedFor > r.ExhaustedWindow:
		return t.exhaustions()
	case reached(t.Unresolvable, r.Unresolvable, 1):
		return "the owner could not be resolved for " + attempt.Plural(t.Unresolvable, "intent", "intents")
	default:
		return ""
	}
}

// warns is the reason for which the subscription is on its way to a deactivation; "": it is
// not.
func (t *tally) warns(r *subscription.DeactivationRules) string {
	part := float64(r.Warning) / 100
	switch {
	case r.Warning == subscription.NoRule:
		return ""
	case reached(t.Failed, r.Attempts, 1) && elapsed(t.FailingFor, r.Window, part), reached(t.Failed, r.Failures, part):
		return t.failures()
	case reached(t.Exhausted, r.Exhausted, part) && elapsed(t.ExhaustedFor, r.ExhaustedWindow, part):
		return t.exhaustions()
	default:
		return ""
	}
}

func (t *tally) failures() string {
	return attempt.Plural(t.Failed, "attempt has failed", "attempts in a row have failed")
}

func (t *tally) exhaustions() string {
	return attempt.Plural(t.Exhausted, "delivery was exhausted", "deliveries in a row were exhausted")
}

// reached is true if n is at least that part of the count of a rule, and the rule is on.
func reached(n, count int, part float64) bool {
	return count > 0 && n > 0 && float64(n) >= float64(count)*part
}

func elapsed(d, window time.Duration, part float64) bool { return float64(d) > float64(window)*part }
