package delivery

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/internal/store"
)

// deactivateDue deactivates the subscriptions that have earned it and warns of
// those that are half way there.
func (e *Engine) deactivateDue(ctx context.Context) (int, error) {
	rules := e.cfg.Deactivation
	rows, err := e.store.DueDeactivations(ctx, &store.DueDeactivationsParams{
		Attempts: int64(rules.Attempts), WindowMs: rules.Window.Milliseconds(),
		Exhausted: int64(rules.Exhausted), ExhaustedMs: rules.ExhaustedWindow.Milliseconds(),
		Unresolvable: int64(rules.Unresolvable),
	})
	if err != nil {
		return 0, err
	}
	done := 0
	for _, row := range rows {
		reason := deactivationReason(row)
		if reason == "" {
			err = e.warn(ctx, row)
		} else {
			err = e.deactivate(ctx, row, reason)
		}
		if err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

func deactivationReason(row store.DueDeactivationsRow) string {
	switch {
	case row.Gone:
		return "the endpoint answered 410 Gone"
	case row.Failing:
		return fmt.Sprintf("%d attempts in a row have failed since %s", row.FailedAttempts, row.FailingSince.UTC().Format("2006-01-02 15:04 MST"))
	case row.Exhausted:
		return fmt.Sprintf("%d deliveries in a row were exhausted", row.ExhaustedRow)
	case row.Unresolved:
		return fmt.Sprintf("the owner could not be resolved for %d intents", row.Unresolvable)
	default:
		return ""
	}
}

func (e *Engine) deactivate(ctx context.Context, row store.DueDeactivationsRow, reason string) error {
	n, err := e.store.DeactivateEpoch(ctx, &store.DeactivateEpochParams{ID: row.SubscriptionID, Epoch: row.Epoch, Reason: reason})
	if err != nil || n == 0 { // another engine was first, or an application holds the row: next time
		return err
	}
	e.log.WarnContext(ctx, "riverhook: subscription deactivated", "subscription", row.SubscriptionID, "reason", reason)
	e.callHook(ctx, "SubscriptionDeactivated", e.cfg.Hooks.SubscriptionDeactivated, row, reason)
	return nil
}

func (e *Engine) warn(ctx context.Context, row store.DueDeactivationsRow) error {
	n, err := e.store.MarkWarned(ctx, &store.MarkWarnedParams{ID: row.SubscriptionID, Epoch: row.Epoch})
	if err != nil || n == 0 {
		return err
	}
	reason := fmt.Sprintf("%d attempts in a row have failed", row.FailedAttempts)
	e.log.WarnContext(ctx, "riverhook: subscription failing", "subscription", row.SubscriptionID, "reason", reason)
	e.callHook(ctx, "SubscriptionFailing", e.cfg.Hooks.SubscriptionFailing, row, reason)
	return nil
}

func (e *Engine) callHook(
	ctx context.Context, name string, hook func(context.Context, SubscriptionEvent), row store.DueDeactivationsRow, reason string,
) {
	if hook == nil {
		return
	}
	ev := SubscriptionEvent{SubscriptionID: row.SubscriptionID, Reason: reason, FailedAttempts: row.FailedAttempts}
	if row.FailingSince != nil {
		ev.FailingSince = *row.FailingSince
	}
	_, err := within(ctx, e.cfg.HookTimeout, func(ctx context.Context) (struct{}, error) {
		hook(ctx, ev)
		return struct{}{}, nil
	})
	if err != nil {
		e.log.ErrorContext(ctx, "riverhook: hook failed", "hook", name, "subscription", row.SubscriptionID, "error", err)
	}
}
