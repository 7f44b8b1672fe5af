package delivery

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

// maxJudgments is how many subscriptions one round of maintenance deactivates or
// warns of.
const maxJudgments = 100

// troubledRows is how many counts one round of maintenance looks at.
const troubledRows = 1000

// deactivateDue looks at the next subscriptions that something was counted
// against: it deactivates those that have earned it and warns of those that are on
// the way there. A round looks at troubledRows; the next one goes on after them.
func (e *Engine) deactivateDue(ctx context.Context) (int, error) {
	e.mu.Lock()
	after := e.judged
	e.mu.Unlock()
	rows, err := e.store.Troubled(ctx, &store.TroubledParams{After: after, MaxRows: troubledRows})
	if err != nil {
		return 0, err
	}
	next, done := uuid.Nil, 0
	for i := range rows {
		changed, err := e.judge(ctx, &rows[i])
		if err != nil {
			return done, err
		}
		if changed {
			done++
		}
		if done == maxJudgments || i == troubledRows-1 {
			next = rows[i].SubscriptionID
			break
		}
	}
	e.mu.Lock()
	e.judged = next
	e.mu.Unlock()
	return done, nil
}

func (e *Engine) judge(ctx context.Context, row *store.TroubledRow) (changed bool, err error) {
	if !row.Live {
		return false, nil
	}
	t, rules := tallyOf(row), rulesOf(row).Over(e.cfg.Deactivation)
	ev := SubscriptionEvent{
		SubscriptionID: row.SubscriptionID,
		Owner:          row.Owner,
		URL:            attempt.PublicURL(row.URL),
		Epoch:          row.Epoch,
		FailingSince:   t.FailingSince,
		FailedAttempts: t.Failed,
	}
	if ev.Reason = t.deactivates(&rules); ev.Reason != "" {
		return e.deactivate(ctx, row, ev)
	}
	if ev.Reason = t.warns(&rules); ev.Reason != "" && row.AppFailed && !row.Warned {
		return e.warn(ctx, row, ev)
	}
	return false, nil
}

func (e *Engine) deactivate(ctx context.Context, row *store.TroubledRow, ev SubscriptionEvent) (bool, error) {
	changed, err := e.changeAndAnnounce(ctx, func(q *store.Queries) ([]uuid.UUID, error) {
		return q.DeactivateEpoch(ctx, &store.DeactivateEpochParams{
			ID:           row.SubscriptionID,
			Epoch:        row.Epoch,
			URLVersion:   row.URLVersion,
			Reason:       ev.Reason,
			FailingSince: row.FailingSince,
		})
	}, ev.operation(SubscriptionDeactivatedEventType))
	if err != nil || !changed { // another engine was first, or an application holds the row: next time
		return false, err
	}
	e.log.WarnContext(ctx, "riverhook: subscription deactivated", "subscription", ev.SubscriptionID, "reason", ev.Reason)
	callHook(ctx, e, "SubscriptionDeactivated", e.cfg.Hooks.SubscriptionDeactivated, ev, ev.SubscriptionID)
	return true, nil
}

func (e *Engine) warn(ctx context.Context, row *store.TroubledRow, ev SubscriptionEvent) (bool, error) {
	changed, err := e.changeAndAnnounce(ctx, func(q *store.Queries) ([]uuid.UUID, error) {
		return q.MarkWarned(ctx, &store.MarkWarnedParams{
			ID:           row.SubscriptionID,
			Epoch:        row.Epoch,
			URLVersion:   row.URLVersion,
			FailingSince: row.FailingSince,
		})
	}, ev.operation(SubscriptionFailingEventType))
	if err != nil || !changed {
		return false, err
	}
	e.log.WarnContext(ctx, "riverhook: subscription failing", "subscription", ev.SubscriptionID, "reason", ev.Reason)
	callHook(ctx, e, "SubscriptionFailing", e.cfg.Hooks.SubscriptionFailing, ev, ev.SubscriptionID)
	return true, nil
}

// changeAndAnnounce announces a change in the transaction that makes it, where it
// is made at all.
func (e *Engine) changeAndAnnounce(
	ctx context.Context, change func(q *store.Queries) ([]uuid.UUID, error), op operation,
) (changed bool, err error) {
	err = e.inTx(ctx, true, func(q *store.Queries) error {
		ids, err := change(q)
		if err != nil || len(ids) == 0 {
			return err
		}
		changed = true
		return e.announce(ctx, q, []operation{op})
	})
	return changed, err
}
