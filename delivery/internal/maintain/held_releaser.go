package maintain

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/rates"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// cancelRows is how many deliveries of one subscription a step ends.
	cancelRows = 1000

	// stepCancels ends a step that has ended so many deliveries.
	stepCancels = 10_000
)

// HeldReleaser finds held deliveries that nothing in this process will release: those of
// subscriptions that are active again, or of engines that ended. It ends those of
// subscriptions that are not in force any more, and has a CircuitProber try open circuits.
type HeldReleaser struct {
	Frequent *store.Queries // with plans that are kept
	Pace     Pace
	Rates    *rates.Releaser
	ShareOf  func(t *attempt.Target) string // the name of the share of a request
	Slots    *slots.Releaser
	Store    *store.Queries

	after uuid.UUID // the subscription that was looked at last
}

// Run looks at the next subscriptions with held deliveries. It returns how many deliveries
// were asked to go on, of whatever subscriptions, or ended. It is not safe for concurrent
// use.
func (r *HeldReleaser) Run(ctx context.Context) (int, error) {
	n, err := r.Pace.walk(ctx, r.step)
	if err != nil {
		return n, err
	}
	asked, err := r.Slots.All(ctx)
	if n += asked; err != nil {
		return n, err
	}
	released, err := r.Rates.Run(ctx)
	return n + released, err
}

func (r *HeldReleaser) step(ctx context.Context) (step, error) {
	rows, err := r.Frequent.HeldSubscriptions(ctx, &store.HeldSubscriptionsParams{After: r.after, MaxRows: r.Pace.Rows})
	if err != nil {
		return step{}, err
	}
	if len(rows) == 0 {
		r.after = uuid.Nil
		return step{end: true}, nil
	}
	var (
		s      step
		probed []*attempt.Target
	)
	for i := 0; i < len(rows) && s.busy < stepCancels; i++ {
		row := &rows[i]
		r.after = row.ID
		t := heldTarget(row)
		ended, err := r.release(ctx, row, t)
		if s.busy += ended; err != nil {
			return s, err
		}
		if row.Probe {
			probed = append(probed, t)
		}
		s.idle++
	}
	open, err := r.Rates.Open(ctx, probed)
	if err != nil {
		return s, err
	}
	prober := CircuitProber{Store: r.Frequent}
	did, err := prober.Probe(ctx, open)
	s.busy += did
	return s, err
}

// heldTarget is a held delivery of a subscription, as far as its release concerns it.
func heldTarget(row *store.HeldSubscriptionsRow) *attempt.Target {
	return &attempt.Target{Sub: attempt.Subscription{
		ID:          row.ID,
		Site:        row.Site,
		Owner:       row.Owner,
		MaxInFlight: row.MaxInFlight,
		Rate:        attempt.NewRate(row.RateEvents, time.Duration(row.RatePerMs)*time.Millisecond, row.RateBurst),
		URLVersion:  row.URLVersion,
	}}
}

// release decides what happens to the held deliveries of one subscription, of which t is one. It
// returns how many it has ended.
func (r *HeldReleaser) release(ctx context.Context, row *store.HeldSubscriptionsRow, t *attempt.Target) (int, error) {
	switch {
	case row.Deleted:
		return r.cancel(ctx, row.ID, "the subscription was deleted")
	case subscription.State(row.State) == subscription.StateDeactivated:
		return r.cancel(ctx, row.ID, attempt.DeactivatedReason(row.StateReason))
	case subscription.State(row.State) != subscription.StateActive || row.Circuit:
		return 0, nil
	default:
		if r.Rates.Leases.Limits(t) {
			r.Rates.Leases.Found(t)
			return 0, nil
		}
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
