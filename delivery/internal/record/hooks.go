package record

import (
	"context"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// Hooks are called after a commit; those that are nil are not. Package delivery
// documents them.
type Hooks struct {
	Delivered func(ctx context.Context, ev DeliveryEvent, answer *attempt.Answer)
	Exhausted func(ctx context.Context, ev DeliveryEvent)
	Recovered func(ctx context.Context, ev SubscriptionEvent)
}

// CallHooks calls the hooks for a transition that is recorded.
func (r *Recorder) CallHooks(ctx context.Context, tr *attempt.Transition) {
	if hook := r.cfg.Hooks.Delivered; hook != nil && tr.State == attempt.StateDelivered && tr.Attempt.Answer != nil {
		hook(ctx, deliveryEvent(tr), tr.Attempt.Answer)
	}
	if hook := r.cfg.Hooks.Exhausted; hook != nil && tr.State == attempt.StateExhausted {
		hook(ctx, deliveryEvent(tr))
	}
	if tr.Recovered == nil {
		return
	}
	r.cfg.Log.InfoContext(ctx, "riverhook: subscription recovered", "subscription", tr.Target.Sub.ID)
	if hook := r.cfg.Hooks.Recovered; hook != nil {
		hook(ctx, recoveredEvent(tr))
	}
}
