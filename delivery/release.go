package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// heldSubscriptions is how many subscriptions one statement looks for that have
	// held deliveries, and cancelRows how many deliveries of one it ends.
	heldSubscriptions = 1000
	cancelRows        = 1000

	// probeLease is how long the probe that maintenance has made keeps others from
	// the endpoint: its job has to be fetched, and its request to end.
	probeLease = 90 * time.Second
)

// sweepHeld finds held deliveries that nobody in this process knows of: of
// subscriptions that are active again, or of engines that ended. It ends those
// of subscriptions that are no more in force, and lets one of each circuit that may
// be tried go out.
func (e *Engine) sweepHeld(ctx context.Context) (int, error) {
	n := 0
	for after := uuid.Nil; ; {
		rows, err := e.frequent.HeldSubscriptions(ctx, &store.HeldSubscriptionsParams{After: after, MaxRows: heldSubscriptions})
		if err != nil || len(rows) == 0 {
			return n, err
		}
		var probed []string
		for _, row := range rows {
			after = row.ID
			did, err := e.sweepHeldOf(ctx, row)
			if err != nil {
				return n, err
			}
			n += did
			if row.Probe {
				probed = append(probed, row.ID.String())
			}
		}
		if len(probed) > 0 {
			out, err := e.frequent.ProbeCircuits(ctx, &store.ProbeCircuitsParams{Subscriptions: probed, LeaseMs: probeLease.Milliseconds()})
			if err != nil {
				return n, err
			}
			n += len(out)
		}
	}
}

func (e *Engine) sweepHeldOf(ctx context.Context, row store.HeldSubscriptionsRow) (int, error) {
	switch {
	case row.Deleted:
		return e.cancelHeld(ctx, row.ID, "the subscription was deleted")
	case subscription.State(row.State) == subscription.StateDeactivated:
		return e.cancelHeld(ctx, row.ID, attempt.DeactivatedReason(row.StateReason))
	case subscription.State(row.State) != subscription.StateActive || row.Circuit:
		return 0, nil
	default:
		return e.releaser.Found(ctx, attempt.EndpointKey{SubscriptionID: row.ID, URLVersion: row.URLVersion}, row.MaxInFlight)
	}
}

func (e *Engine) cancelHeld(ctx context.Context, id uuid.UUID, reason string) (int, error) {
	ids, err := e.store.CancelHeld(ctx, &store.CancelHeldParams{
		Reason:         reason,
		SubscriptionID: id,
		MaxRows:        cancelRows,
	})
	return len(ids), err
}
