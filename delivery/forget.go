package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// subscriptions forgets those that were deleted long ago and have no history any more.
func (p *pruner) subscriptions(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.ForgetSubscriptions(ctx, &store.ForgetSubscriptionsParams{
		AfterAt:  p.forgottenUntil,
		After:    p.forgetAfter,
		MaxAgeMs: p.maxAge(),
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.pruned.Subscriptions += row.Forgotten
	if row.Seen < pruneStep {
		p.forgetAfter, p.forgottenUntil = uuid.Nil, time.Time{}
		return false, nil
	}
	p.forgetAfter, p.forgottenUntil = row.Last, row.LastAt
	return true, nil
}

// aliases forgets former paths that ended before everything that is left.
func (p *pruner) aliases(ctx context.Context, q *store.Queries) (bool, error) {
	n, err := q.ForgetAliases(ctx, &store.ForgetAliasesParams{MaxAgeMs: p.maxAge(), MaxRows: pruneStep})
	p.pruned.Aliases += int(n)
	return n == pruneStep, err
}
