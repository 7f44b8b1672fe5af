package maintain

import (
	"context"
	"log/slog"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/record"
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
	rows, err := store.In(d.DB, d.Schema).Troubled(ctx, &store.TroubledParams{After: d.position(), MaxRows: troubledRows})
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

// apply applies the rules to one subscription.
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
	changed, err := d.change(ctx, ev.Operation(record.SubscriptionDeactivated), func(q *store.Queries) ([]uuid.UUID, error) {
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
	changed, err := d.change(ctx, ev.Operation(record.SubscriptionFailing), func(q *store.Queries) ([]uuid.UUID, error) {
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
