package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// release asks for the oldest held deliveries of a subscription.
type release struct {
	SubscriptionID uuid.UUID
	Most           int
}

// releaseNext lets held deliveries of an endpoint go on when enough of its slots
// are free.
func (e *Engine) releaseNext(ctx context.Context, key attempt.EndpointKey) error {
	return e.release(ctx, key, e.endpoints.wantsRelease(key, time.Now()))
}

func (e *Engine) release(ctx context.Context, key attempt.EndpointKey, most int) error {
	if most == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	got, err := e.releases.Do(ctx, release{SubscriptionID: key.SubscriptionID, Most: most})
	e.endpoints.released(key, most, got, time.Now())
	if err != nil {
		return fmt.Errorf("delivery: release held deliveries: %w", err)
	}
	return nil
}

// releaseHeld is the flush of the batch of releases: how many deliveries of each
// subscription went on.
func (e *Engine) releaseHeld(ctx context.Context, batch []release) ([]int, error) {
	p := &store.ReleaseHeldParams{}
	for _, r := range batch {
		p.Subscriptions = append(p.Subscriptions, r.SubscriptionID.String())
		p.Most = append(p.Most, r.Most)
	}
	rows, err := e.frequent.ReleaseHeld(ctx, p)
	if err != nil {
		return nil, err
	}
	bySub := make(map[uuid.UUID]int, len(rows))
	for _, row := range rows {
		bySub[row.SubscriptionID] = row.Released
	}
	outs := make([]int, len(batch))
	for i, r := range batch {
		outs[i] = bySub[r.SubscriptionID]
	}
	return outs, nil
}

// sweepHeld finds held deliveries that nobody in this process knows of: of
// subscriptions that are active again, or of engines that ended. It ends those
// of subscriptions that are no more in force, and lets one of each circuit that may
// be tried go out.
func (e *Engine) sweepHeld(ctx context.Context) (int, error) {
	n := 0
	for after := uuid.Nil; ; {
		rows, err := e.frequent.HeldSubscriptions(ctx, after)
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
			out, err := e.frequent.ProbeCircuits(ctx, probed)
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
		key := attempt.EndpointKey{SubscriptionID: row.ID, URLVersion: row.URLVersion}
		most := e.endpoints.offer(key, row.MaxInFlight, time.Now())
		return most, e.release(ctx, key, most)
	}
}

func (e *Engine) cancelHeld(ctx context.Context, id uuid.UUID, reason string) (int, error) {
	ids, err := e.store.CancelHeld(ctx, &store.CancelHeldParams{SubscriptionID: id, Reason: reason})
	return len(ids), err
}
