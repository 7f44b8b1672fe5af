package maintain

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// maxChanges is how many subscriptions one round deactivates or warns of.
	maxChanges = 100

	// troubledRows is how many subscriptions one round looks at.
	troubledRows = 1000
)

// DeactivatorHooks are called after a commit; those that are nil are not.
type DeactivatorHooks struct {
	Deactivated func(ctx context.Context, ev record.SubscriptionEvent)
	Failing     func(ctx context.Context, ev record.SubscriptionEvent)
}

// Deactivator applies the rules of deactivation: it deactivates subscriptions that meet
// one, and warns of those that are on the way there. It is safe for concurrent use.
type Deactivator struct {
	DB     *pgxpool.Pool
	Hooks  DeactivatorHooks
	Log    *slog.Logger
	NewID  func() uuid.UUID
	Rules  subscription.DeactivationRules // of subscriptions that have none of their own
	Schema string

	mu   sync.Mutex
	last uuid.UUID // the last subscription that a round has looked at
}

// Run looks at the next subscriptions that have failures counted, troubledRows at most, and
// returns how many it has changed. The next call continues after them.
func (d *Deactivator) Run(ctx context.Context) (int, error) {
	rows, err := store.Frequent(d.DB, d.Schema).Troubled(ctx, &store.TroubledParams{After: d.position(), MaxRows: troubledRows})
	if err != nil {
		return 0, err
	}
	next, done := uuid.Nil, 0
	for i := range rows {
		changed, err := d.apply(ctx, &rows[i])
		if err != nil {
			return done, err
		}
		if changed {
			done++
		}
		if done == maxChanges || i == troubledRows-1 {
			next = rows[i].SubscriptionID
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = next
	return done, nil
}

func (d *Deactivator) position() uuid.UUID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// apply applies the rules to one subscription. A 410 is the first of them (deactivates).
func (d *Deactivator) apply(ctx context.Context, row *store.TroubledRow) (changed bool, err error) {
	if !row.Live {
		return false, nil
	}
	t, rules := tallyOf(row), rulesOf(row).Over(d.Rules)
	ev := record.SubscriptionEvent{
		SubscriptionID: row.SubscriptionID,
		Owner:          row.Owner,
		URL:            attempt.PublicURL(row.URL),
		Epoch:          row.Epoch,
		FailingSince:   t.FailingSince,
		FailedAttempts: t.Failed,
	}
	if ev.Reason = t.deactivates(&rules); ev.Reason != "" {
		return d.deactivate(ctx, row, ev)
	}
	if ev.Reason = t.warns(&rules); ev.Reason != "" && row.AppFailed && !row.Warned {
		return d.warn(ctx, row, ev)
	}
	return false, nil
}

func (d *Deactivator) deactivate(ctx context.Context, row *store.TroubledRow, ev record.SubscriptionEvent) (bool, error) {
	changed, err := d.change(ctx, ev.Operation(event.SubscriptionDeactivated), func(q *store.Queries) ([]uuid.UUID, error) {
		return q.DeactivateEpoch(ctx, &store.DeactivateEpochParams{
			ID:           row.SubscriptionID,
			Epoch:        row.Epoch,
			URLVersion:   row.URLVersion,
			Reason:       ev.Reason,
			FailingSince: row.FailingSince,
		})
	})
	if err != nil || !changed { // another engine was first, or an application holds the row: next time
		return false, err
	}
	d.Log.WarnContext(ctx, "riverhook: subscription deactivated", "subscription", ev.SubscriptionID, "reason", ev.Reason)
	if d.Hooks.Deactivated != nil {
		d.Hooks.Deactivated(ctx, ev)
	}
	return true, nil
}

func (d *Deactivator) warn(ctx context.Context, row *store.TroubledRow, ev record.SubscriptionEvent) (bool, error) {
	changed, err := d.change(ctx, ev.Operation(event.SubscriptionFailing), func(q *store.Queries) ([]uuid.UUID, error) {
		return q.MarkWarned(ctx, &store.MarkWarnedParams{
			ID:           row.SubscriptionID,
			Epoch:        row.Epoch,
			URLVersion:   row.URLVersion,
			FailingSince: row.FailingSince,
		})
	})
	if err != nil || !changed {
		return false, err
	}
	d.Log.WarnContext(ctx, "riverhook: subscription failing", "subscription", ev.SubscriptionID, "reason", ev.Reason)
	if d.Hooks.Failing != nil {
		d.Hooks.Failing(ctx, ev)
	}
	return true, nil
}

// change announces a change in the transaction that makes it, if it is made.
func (d *Deactivator) change(
	ctx context.Context, op record.Operation, change func(q *store.Queries) ([]uuid.UUID, error),
) (changed bool, err error) {
	err = store.InTx(ctx, d.DB, d.Schema, func(q *store.Queries) error {
		ids, err := change(q)
		if err != nil || len(ids) == 0 {
			return err
		}
		changed = true
		return record.Announce(ctx, q, d.NewID, []record.Operation{op})
	})
	return changed, err
}

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
