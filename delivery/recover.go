package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/store"
)

// recoverStep is how many deliveries are brought back in one transaction.
const recoverStep = 500

// RecoverOpts say what Recover brings back.
type RecoverOpts struct {
	// Limit is the most that are brought back. Default: all.
	Limit int

	// Since is the earliest time at which the delivery or the decision was made,
	// inclusive. Default: any.
	Since time.Time

	// States are the ends from which deliveries are brought back, and then nothing
	// else is. Default: cancelled, exhausted and expired, and with them the decisions
	// that were inactive. Delivered ones are sent again only when it is among them.
	States []DeliveryState

	// Until is the time before which the delivery or the decision was made.
	// Default: any.
	Until time.Time
}

func (o *RecoverOpts) params(subscription uuid.UUID) (*store.RecoverDeliveriesParams, error) {
	if o.Limit < 0 {
		return nil, fmt.Errorf("Limit: is %d; must not be negative", o.Limit)
	}
	b, err := filterBounds{Since: o.Since, Until: o.Until}.check()
	if err != nil {
		return nil, err
	}
	p := &store.RecoverDeliveriesParams{
		SubscriptionID: subscription,
		After:          b.After,
		Before:         b.Before,
		Since:          b.Since,
		Until:          b.Until,
		MaxRows:        recoverStep,
	}
	states := o.States
	if len(states) == 0 {
		states = []DeliveryState{DeliveryCancelled, DeliveryExhausted, DeliveryExpired}
	}
	ends := []DeliveryState{DeliveryCancelled, DeliveryDelivered, DeliveryExhausted, DeliveryExpired}
	for i, state := range states {
		if !slices.Contains(ends, state) {
			return nil, fmt.Errorf("States[%d]: %q is not an end of a delivery", i, state)
		}
		p.States = append(p.States, string(state))
	}
	return p, nil
}

// Recover brings back what a subscription has missed: each ended delivery that
// opts name gets a new round as by Redeliver, oldest first, and then each event
// that came while the subscription was deactivated is decided anew, as one that has
// just come. An open circuit and a Retry-After hold the new rounds. Deliveries that the
// last deactivation has cancelled, or is about to, are there whatever
// HistoryRules.PerSubscription is. Those whose message or data is gone (ErrPayloadGone), and questions, stay as
// they are. It works in steps
// that are committed one by one; after an error the number says how many have
// been brought back, and another call goes on with the rest. The error is
// ErrNotFound, ErrSubscriptionDeactivated, ErrSubscriptionUnverified or
// ErrSubscriptionGone. nil opts are the defaults.
func (h *Handle) Recover(ctx context.Context, subscription uuid.UUID, opts *RecoverOpts) (int, error) {
	o := RecoverOpts{}
	if opts != nil {
		o = *opts
	}
	n, err := 0, h.allowed(ctx, h.store, subscription, access.VerbSend)
	if err == nil {
		n, err = h.recoverSteps(ctx, subscription, &o)
	}
	if err != nil {
		return n, fmt.Errorf("delivery: recover %s: %w", subscription, err)
	}
	return n, nil
}

func (h *Handle) recoverSteps(ctx context.Context, subscription uuid.UUID, o *RecoverOpts) (int, error) {
	p, err := o.params(subscription)
	if err != nil {
		return 0, err
	}
	states, err := h.store.SubscriptionStates(ctx, subscription)
	if err != nil {
		return 0, err
	}
	if len(states) == 0 {
		return 0, ErrNotFound
	}
	if err := refusal(states[0].State, states[0].Deleted); err != nil {
		return 0, err
	}
	recovered := 0
	for {
		if o.Limit > 0 {
			p.MaxRows = min(recoverStep, o.Limit-recovered)
		}
		step, err := h.store.RecoverDeliveries(ctx, p)
		if err != nil {
			return recovered, err
		}
		recovered += step.Moved
		if o.Limit > 0 && recovered >= o.Limit {
			return recovered, nil
		}
		if step.Picked < p.MaxRows {
			break
		}
		p.After = step.Last
	}
	if len(o.States) > 0 {
		return recovered, nil
	}
	return h.recoverInactive(ctx, subscription, o, p, recovered)
}

// recoverInactive has the decisions made anew that were inactive. What it has
// brought back waits, so that the next step begins behind it.
func (h *Handle) recoverInactive(
	ctx context.Context, subscription uuid.UUID, o *RecoverOpts, bounds *store.RecoverDeliveriesParams, recovered int,
) (int, error) {
	p := &store.RecoverInactiveParams{
		SubscriptionID: subscription,
		Since:          bounds.Since,
		Until:          bounds.Until,
		MaxRows:        recoverStep,
	}
	for {
		if o.Limit > 0 {
			p.MaxRows = min(recoverStep, o.Limit-recovered)
		}
		n, err := h.store.RecoverInactive(ctx, p)
		if err != nil {
			return recovered, err
		}
		recovered += n
		if n < p.MaxRows || o.Limit > 0 && recovered >= o.Limit {
			return recovered, nil
		}
	}
}
