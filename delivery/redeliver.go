package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// Errors of what a person asks of a delivery, for errors.Is.
var (
	// ErrDeliveryEnded means that there is nothing to cancel: the delivery has
	// come to its end.
	ErrDeliveryEnded = errors.New("the delivery has ended")

	// ErrDeliveryPending means that there is nothing to redeliver: the delivery is
	// due or being sent, or waits because its subscription is paused or for a rate.
	// Cancel it first to begin anew.
	ErrDeliveryPending = errors.New("the delivery is pending")

	// ErrErased means that what was to be sent was erased by outbox.Erase. It is an
	// ErrPayloadGone.
	ErrErased = fmt.Errorf("it was erased: %w", ErrPayloadGone)

	// ErrPayloadGone means that what was to be sent is not there any more:
	// HistoryRules.Payloads does not keep it, or it is an ErrErased or ErrPruned.
	ErrPayloadGone = errors.New("the payload is gone")

	// ErrPruned means that the data of an intent was pruned for its age. It is an
	// ErrPayloadGone.
	ErrPruned = fmt.Errorf("it was pruned: %w", ErrPayloadGone)

	// ErrQuestion means that it was a question, which nobody waits for any more: Ask
	// anew.
	ErrQuestion = errors.New("it was a question")

	// ErrSubscriptionDeactivated means that the subscription gets nothing until
	// it is activated.
	ErrSubscriptionDeactivated = errors.New("the subscription is deactivated: activate it first")

	// ErrSubscriptionGone means that the subscription was deleted.
	ErrSubscriptionGone = errors.New("the subscription was deleted")

	// ErrSubscriptionUnverified means that the subscription gets nothing until its
	// URL is proven.
	ErrSubscriptionUnverified = errors.New("the subscription's URL is not verified")
)

// Redeliver sends a delivery now. One that has ended, in whatever way, gets a new round:
// a manual attempt at once, and then the schedule from its start. One that is pending
// waits no longer for its schedule, for the circuit of its endpoint or for a time that
// the endpoint has asked for (Retry-After): its next attempt is made at once, and the
// schedule goes on from there. The same message is sent under the same webhook-id.
//
// This one attempt passes an open circuit, and counts as its probe: a success closes
// the circuit, and a failure lets it stay open. What the endpoint has asked for
// still holds for other deliveries. It does wait for a slot of its endpoint, for its
// rate, and while the subscription is paused. Access is checked again before anything is sent.
//
// The error is ErrNotFound, ErrDeliveryPending, ErrPayloadGone, ErrErased, ErrQuestion,
// ErrSubscriptionDeactivated, ErrSubscriptionUnverified or ErrSubscriptionGone. Of two calls at once one finds the delivery due.
func (h *Handle) Redeliver(ctx context.Context, delivery uuid.UUID) error {
	return h.redeliver(ctx, h.store, delivery)
}

func (h *Handle) redeliver(ctx context.Context, q *store.Queries, id uuid.UUID) error {
	if err := h.allowedOn(ctx, q, id); err != nil {
		return fmt.Errorf("delivery: redeliver %s: %w", id, err)
	}
	rows, err := q.Redeliver(ctx, id)
	switch {
	case err != nil:
	case len(rows) == 0:
		err = ErrNotFound
	case rows[0].Moved:
		return nil
	case rows[0].Question:
		err = ErrQuestion
	case rows[0].Erased:
		err = ErrErased
	case rows[0].Gone:
		err = ErrPayloadGone
	default:
		if err = refusal(rows[0].SubscriptionState, rows[0].Deleted); err == nil {
			err = ErrDeliveryPending
		}
	}
	return fmt.Errorf("delivery: redeliver %s: %w", id, err)
}

// refusal is why a subscription gets no deliveries; nil where it does.
func refusal(state string, deleted bool) error {
	switch {
	case deleted:
		return ErrSubscriptionGone
	case state == string(subscription.StateDeactivated):
		return ErrSubscriptionDeactivated
	case state == string(subscription.StatePendingVerification):
		return ErrSubscriptionUnverified
	default:
		return nil
	}
}

// Cancel ends a pending delivery, held or not. reason is kept with it and must
// not be empty. A request that is under way is not called back; its attempt is
// recorded, and changes nothing. The error is ErrNotFound or ErrDeliveryEnded.
func (h *Handle) Cancel(ctx context.Context, delivery uuid.UUID, reason string) error {
	return h.cancel(ctx, h.store, delivery, reason)
}

func (h *Handle) cancel(ctx context.Context, q *store.Queries, id uuid.UUID, reason string) error {
	if err := h.allowedOn(ctx, q, id); err != nil {
		return fmt.Errorf("delivery: cancel %s: %w", id, err)
	}
	if reason == "" {
		return fmt.Errorf("delivery: cancel %s: a reason is required", id)
	}
	if !isText(reason) {
		return fmt.Errorf("delivery: cancel %s: the reason must be valid UTF-8 without NUL", id)
	}
	states, err := q.CancelDelivery(ctx, &store.CancelDeliveryParams{ID: id, Reason: callbacks.Brief(errors.New(reason))})
	switch {
	case err != nil:
	case len(states) == 0:
		err = ErrNotFound
	case attempt.State(states[0]) == attempt.StatePending:
		return nil
	default:
		err = ErrDeliveryEnded
	}
	return fmt.Errorf("delivery: cancel %s: %w", id, err)
}
