package maintain

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// surplus deletes ended deliveries beyond those that are kept of each subscription.
func (p *Pruner) surplus(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.LockSurplus(ctx, &store.LockSurplusParams{
		After:         p.surplusAfter,
		Subscriptions: pruneSubscriptions,
		Keep:          int64(p.Retention.PerSubscription),
		AheadMs:       aheadBy.Milliseconds(),
		SkewMs:        skew.Milliseconds(),
		MaxRows:       pruneStep,
	})
	if err != nil {
		return false, err
	}
	n, err := p.deleteLocked(ctx, q, row.Ids)
	switch {
	case err != nil:
		return false, err
	case n == pruneStep: // the same subscriptions may have more
		return true, nil
	case row.Seen < pruneSubscriptions:
		p.surplusAfter = uuid.Nil
		return false, nil
	default:
		p.surplusAfter = row.Last
		return true, nil
	}
}

// oldDeliveries deletes deliveries that ended too long ago.
func (p *Pruner) oldDeliveries(ctx context.Context, q *store.Queries) (bool, error) {
	ids, err := q.LockOldDeliveries(ctx, &store.LockOldDeliveriesParams{MaxAgeMs: p.maxAgeMs(), MaxRows: pruneStep})
	if err != nil {
		return false, err
	}
	n, err := p.deleteLocked(ctx, q, ids)
	return n == pruneStep, err
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
