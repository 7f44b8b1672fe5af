package maintain

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// surplusPlace is the delivery that was counted last.
type surplusPlace struct {
	subscription uuid.UUID
	below        uuid.UUID // the delivery
	counted      int64     // of the subscription, that one included
}

// surplus deletes ended deliveries beyond those that are kept of each subscription.
func (p *Pruner) surplus(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.LockSurplus(ctx, &store.LockSurplusParams{
		After:         p.surplusAfter.subscription,
		Below:         p.surplusAfter.below,
		Counted:       p.surplusAfter.counted,
		Subscriptions: pruneSubscriptions,
		Keep:          int64(p.Retention.PerSubscription),
		AheadMs:       aheadBy.Milliseconds(),
		SkewMs:        skew.Milliseconds(),
		ReadRows:      countStep,
		MaxRows:       pruneStep,
	})
	if err != nil {
		return false, err
	}
	n, err := p.deleteLocked(ctx, q, row.Ids)
	switch {
	case err != nil:
		return false, err
	case n == pruneStep: // there may be more where it has read
		return true, nil
	case row.IsEnd:
		p.surplusAfter = surplusPlace{}
		return false, nil
	default:
		p.surplusAfter = surplusPlace{
			subscription: row.Last,
			below:        row.LastBelow,
			counted:      row.LastCounted,
		}
		return true, nil
	}
}

// oldDeliveries deletes deliveries that ended too long ago.
func (p *Pruner) oldDeliveries(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.LockOldDeliveries(ctx, &store.LockOldDeliveriesParams{
		After:    p.deliveriesAfter,
		MaxAgeMs: p.maxAgeMs(),
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	if _, err := p.deleteLocked(ctx, q, row.Ids); err != nil {
		return false, err
	}
	p.deliveriesAfter = row.Last
	if row.Seen < pruneStep {
		p.deliveriesAfter = uuid.Nil
		return false, nil
	}
	return true, nil
}

// deleteLocked deletes deliveries that this transaction has locked.
func (p *Pruner) deleteLocked(ctx context.Context, q *store.Queries, ids []uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := q.DeleteDeliveries(ctx, store.UUIDs(ids))
	p.pruned.Deliveries += int(n)
	return int(n), err
}
