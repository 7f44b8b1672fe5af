package maintain

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// health deletes the counts of epochs that have ended.
func (p *Pruner) health(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.PruneHealth(ctx, &store.PruneHealthParams{
		After:      p.healthAfter,
		AfterEpoch: p.healthEpoch,
		MaxRows:    pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.healthAfter, p.healthEpoch = row.Last, row.LastEpoch
	if row.Seen < pruneStep {
		p.healthAfter, p.healthEpoch = uuid.Nil, 0
		return false, nil
	}
	return true, nil
}

// challengedHosts deletes when hosts were challenged that may be challenged again long
// since.
func (p *Pruner) challengedHosts(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.PruneChallengedHosts(ctx, &store.PruneChallengedHostsParams{
		After:    p.hostsAfter,
		MaxAgeMs: hostMemory.Milliseconds(),
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.hostsAfter = row.Last
	if row.Seen < pruneStep {
		p.hostsAfter = ""
		return false, nil
	}
	return true, nil
}

// rates deletes those that nobody has used for a while.
func (p *Pruner) rates(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.PruneRates(ctx, &store.PruneRatesParams{
		After:    p.ratesAfter,
		MaxAgeMs: rateMemory.Milliseconds(),
		MaxRows:  pruneStep,
	})
	if err != nil || row.Seen < pruneStep {
		p.ratesAfter = ""
		return false, err
	}
	p.ratesAfter = row.Last
	return true, nil
}

// subscriptions deletes those that were deleted by their owners long ago and have no
// history any more.
func (p *Pruner) subscriptions(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.ForgetSubscriptions(ctx, &store.ForgetSubscriptionsParams{
		AfterAt:  p.subscriptionUntil,
		After:    p.subscriptionAfter,
		MaxAgeMs: max(p.maxAgeMs(), openFor.Milliseconds()),
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.pruned.Subscriptions += row.Forgotten
	if row.Seen < pruneStep {
		p.subscriptionAfter, p.subscriptionUntil = uuid.Nil, time.Time{}
		return false, nil
	}
	p.subscriptionAfter, p.subscriptionUntil = row.Last, row.LastAt
	return true, nil
}

// aliases deletes former paths of sites that ended before everything that is left.
func (p *Pruner) aliases(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.ForgetAliases(ctx, &store.ForgetAliasesParams{
		After:     p.aliasesAfter,
		AfterPath: p.aliasesPath,
		MaxAgeMs:  max(p.maxAgeMs(), openFor.Milliseconds()),
		OpenMs:    openFor.Milliseconds(),
		MaxRows:   pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.pruned.Aliases += row.Forgotten
	p.aliasesAfter, p.aliasesPath = row.Last, row.LastPath
	if row.Seen < pruneStep {
		p.aliasesAfter, p.aliasesPath = 0, ""
		return false, nil
	}
	return true, nil
}
