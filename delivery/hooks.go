package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/record"
)

// Hooks are called after a change was committed, while the engine holds no
// connection. Nobody waits for them: an engine has 4 goroutines of their own that call them,
// those of a subscription one after the other and in order, those of several subscriptions
// at once. A slow hook delays hooks, and no delivery and no maintenance. At most 1,000
// calls wait, and for DeliveryDelivered with at most 16 MiB of answers; what comes then is
// dropped, and logged as "hook not called" with its name, what it was about and how many
// were dropped. The context of a call ends after Config.Timeouts.Hook, and the engine then
// goes on without it; Stop waits for hooks, also for those that have not begun, as it does
// for requests, and drops what is left. A hook that panics or is late is logged. Each is
// called once, by the engine that made the change; if that ends between the change and its
// call, a hook is not called. The events of the same names, which subscriptions of the
// operator receive (event.SubscriptionDeactivated), are never lost.
type Hooks struct {
	// DeliveryDelivered is called after an endpoint has taken an event, with what it
	// answered: to hand that on, for example. Nothing is written for it. It is not called
	// for questions, whose answers Ask returns, and not for pings. Default: nil, and
	// answers are not kept in memory for it.
	DeliveryDelivered func(ctx context.Context, ev DeliveredEvent)

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

// DeliveredEvent tells what an endpoint answered that took an event.
type DeliveredEvent struct {
	DeliveryEvent

	// Body is that of the answer, as it came, whatever HistoryRules keep of it: at most
	// 64 KiB, or Config.Limits.ResponseBytes if that is more.
	Body []byte `json:"body,omitempty"`

	// BodyTruncated says that there was more of the body.
	BodyTruncated bool `json:"body_truncated,omitempty"`

	// ContentType is the header of that name.
	ContentType string `json:"content_type,omitempty"`
}

// recordHooks are the hooks of a Recorder.
func recordHooks(h Hooks, calls *callbacks.Hooks) (out record.Hooks) {
	if hook := h.DeliveryDelivered; hook != nil {
		out.Delivered = func(ctx context.Context, ev record.DeliveryEvent, answer *attempt.Answer) {
			calls.Add(ctx, callbacks.Hook{
				Name:         "DeliveryDelivered",
				About:        ev.DeliveryID,
				Subscription: ev.SubscriptionID,
				Bytes:        len(answer.Body),
				Call: func(ctx context.Context) {
					hook(ctx, DeliveredEvent{
						DeliveryEvent: DeliveryEvent(ev),
						Body:          answer.Body,
						BodyTruncated: answer.Truncated,
						ContentType:   answer.ContentType,
					})
				},
			})
		}
	}
	if hook := h.DeliveryExhausted; hook != nil {
		out.Exhausted = func(ctx context.Context, ev record.DeliveryEvent) {
			calls.Add(ctx, callbacks.Hook{
				Name:         "DeliveryExhausted",
				About:        ev.DeliveryID,
				Subscription: ev.SubscriptionID,
				Call:         func(ctx context.Context) { hook(ctx, DeliveryEvent(ev)) },
			})
		}
	}
	out.Recovered = subscriptionHook("SubscriptionRecovered", h.SubscriptionRecovered, calls)
	return out
}

// subscriptionHook is the hook of a name for the parts of the engine; nil if there is none.
func subscriptionHook(
	name string, hook func(context.Context, SubscriptionEvent), calls *callbacks.Hooks,
) func(context.Context, record.SubscriptionEvent) {
	if hook == nil {
		return nil
	}
	return func(ctx context.Context, ev record.SubscriptionEvent) {
		calls.Add(ctx, callbacks.Hook{
			Name:         name,
			About:        ev.SubscriptionID,
			Subscription: ev.SubscriptionID,
			Call:         func(ctx context.Context) { hook(ctx, SubscriptionEvent(ev)) },
		})
	}
}
