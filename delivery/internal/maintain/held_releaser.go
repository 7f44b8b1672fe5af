package maintain

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// heldSubscriptions is how many subscriptions with held deliveries one statement
	// returns.
	heldSubscriptions = 1000

	// cancelRows is how many deliveries of one subscription a round ends.
	cancelRows = 1000
)

// HeldReleaser finds held deliveries that nothing in this process will release: those of
// subscriptions that are active again, or of engines that ended. It ends those of
// subscriptions that are not in force any more, and has a CircuitProber try open circuits.
type HeldReleaser struct {
	Frequent *store.Queries                 // with plans that are kept
	ShareOf  func(t *attempt.Target) string // the name of the share of a request
	Slots    *slots.Releaser
	Store    *store.Queries
}

// Run looks at all subscriptions with held deliveries. It returns how many deliveries were
// asked to go on, or ended.
func (r *HeldReleaser) Run(ctx context.Context) (int, error) {
	prober := CircuitProber{Store: r.Frequent}
	n := 0
	for after := uuid.Nil; ; {
		rows, err := r.Frequent.HeldSubscriptions(ctx, &store.HeldSubscriptionsParams{After: after, MaxRows: heldSubscriptions})
		if err != nil {
			return n, err
		}
		if len(rows) == 0 {
			asked, err := r.Slots.All(ctx)
			return n + asked, err
		}
		var probed []string
		for _, row := range rows {
			after = row.ID
			did, err := r.release(ctx, row)
			if err != nil {
				return n, err
			}
			n += did
			if row.Probe {
				probed = append(probed, row.ID.String())
			}
		}
		did, err := prober.Probe(ctx, probed)
		if err != nil {
			return n, err
		}
		n += did
	}
}

// release decides what happens to the held deliveries of one subscription. It returns how
// many it has ended.
func (r *HeldReleaser) release(ctx context.Context, row store.HeldSubscriptionsRow) (int, error) {
	switch {
	case row.Deleted:
		return r.cancel(ctx, row.ID, "the subscription was deleted")
	case subscription.State(row.State) == subscription.StateDeactivated:
		return r.cancel(ctx, row.ID, attempt.DeactivatedReason(row.StateReason))
	case subscription.State(row.State) != subscription.StateActive || row.Circuit:
		return 0, nil
	default:
		t := &attempt.Target{Sub: attempt.Subscription{
			ID:    row.ID,
			Site:  row.Site,
			Owner: row.Owner,
		}}
		key := attempt.EndpointKey{SubscriptionID: row.ID, URLVersion: row.URLVersion}
		r.Slots.Found(key, row.MaxInFlight, r.ShareOf(t))
		return 0, nil
	}
}

func (r *HeldReleaser) cancel(ctx context.Context, id uuid.UUID, reason string) (int, error) {
	ids, err := r.Store.CancelHeld(ctx, &store.CancelHeldParams{
		Reason:         reason,
		SubscriptionID: id,
		MaxRows:        cancelRows,
	})
	return len(ids), err
}
