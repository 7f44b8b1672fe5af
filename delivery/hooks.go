package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Hooks are called after a change was committed, while the engine holds no
// connection: those of a deactivation and its warning by maintenance, one at a time,
// the others by the jobs that have recorded an attempt, several at once. The
// context of a call ends after Config.HookTimeout, and the engine then goes on
// without it. A hook that panics or is late is logged. Each is called once, by the
// engine that made the change; where that ends between the change and its call, a
// hook is not called. The events of the same names, which subscriptions of the
// operator hear ([SubscriptionDeactivatedEventType]), are never lost.
type Hooks struct {
	// DeliveryExhausted is called after the last attempt of a delivery's schedule
	// has failed.
	DeliveryExhausted func(ctx context.Context, ev DeliveryEvent)

	// SubscriptionDeactivated is called after the engine has deactivated a
	// subscription. It is not called where the application does so.
	SubscriptionDeactivated func(ctx context.Context, ev SubscriptionEvent)

	// SubscriptionFailing is called once in each window of failures, when the part of
	// a rule for deactivation is met that DeactivationRules.Warning says. There is no
	// warning while nothing but Riverhook's own events has failed.
	SubscriptionFailing func(ctx context.Context, ev SubscriptionEvent)

	// SubscriptionRecovered is called after the first success behind a warning.
	SubscriptionRecovered func(ctx context.Context, ev SubscriptionEvent)
}

// SubscriptionEvent tells what happened to a subscription. It holds no secret: the
// URL is without user, password and query.
type SubscriptionEvent struct {
	SubscriptionID uuid.UUID `json:"subscription"`
	Owner          string    `json:"owner,omitempty"`
	URL            string    `json:"url"`
	Epoch          int       `json:"epoch"` // in which it was counted
	Reason         string    `json:"reason"`
	FailingSince   time.Time `json:"failing_since,omitzero"` // zero when the reason is not a window of failures
	FailedAttempts int       `json:"failed_attempts"`        // in that window
}

// DeliveryEvent tells what happened to a delivery. It holds no secret: the URL is
// without user, password and query.
type DeliveryEvent struct {
	DeliveryID     uuid.UUID `json:"delivery"`
	SubscriptionID uuid.UUID `json:"subscription"`
	Owner          string    `json:"owner,omitempty"`
	URL            string    `json:"url"`
	IntentID       string    `json:"intent"` // the wire id
	EventType      string    `json:"type"`
	Attempts       int       `json:"attempts"` // of its last round
	Outcome        Outcome   `json:"outcome"`  // of the last one
	Status         int       `json:"status,omitempty"`
}

// tellOf calls the hooks for what was recorded.
func (e *Engine) tellOf(ctx context.Context, tr *transition) {
	ctx = context.WithoutCancel(ctx)
	if tr.State == stateExhausted {
		callHook(ctx, e, "DeliveryExhausted", e.cfg.Hooks.DeliveryExhausted, tr.exhaustion())
	}
	if tr.recovered != nil {
		e.log.InfoContext(ctx, "riverhook: subscription recovered", "subscription", tr.recovered.SubscriptionID)
		callHook(ctx, e, "SubscriptionRecovered", e.cfg.Hooks.SubscriptionRecovered, *tr.recovered)
	}
}

func callHook[T any](ctx context.Context, e *Engine, name string, hook func(context.Context, T), ev T) {
	if hook == nil {
		return
	}
	_, err := within(ctx, e.cfg.HookTimeout, func(ctx context.Context) (struct{}, error) {
		hook(ctx, ev)
		return struct{}{}, nil
	})
	if err != nil {
		e.log.ErrorContext(ctx, "riverhook: hook failed", "hook", name, "event", ev, "error", err)
	}
}
