package maintain

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// payloads reduces the payloads of ended intents to what is kept of them.
func (p *Pruner) payloads(ctx context.Context, q *store.Queries) (bool, error) {
	seen, err := q.LockPayloads(ctx, &store.LockPayloadsParams{
		AfterAt: p.payloadsUntil,
		After:   p.payloadsAfter,
		MaxRows: pruneStep,
	})
	if err != nil {
		return false, err
	}
	var free []uuid.UUID
	for _, row := range seen {
		p.payloadsAfter, p.payloadsUntil = row.IntentID, *row.KeepAt
		if row.Free {
			free = append(free, row.IntentID)
		}
	}
	if len(free) > 0 {
		reduced, err := q.ReducePayloads(ctx, store.UUIDs(free))
		if err != nil {
			return false, err
		}
		p.pruned.Reduced += reduced
	}
	if len(seen) < pruneStep {
		p.payloadsAfter, p.payloadsUntil = uuid.Nil, time.Time{}
		return false, nil
	}
	return true, nil
}

// decisions deletes old decisions.
func (p *Pruner) decisions(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.PruneDecisions(ctx, &store.PruneDecisionsParams{
		After:             p.decisionsAfter.id,
		AfterSubscription: p.decisionsAfter.subscription,
		MaxAgeMs:          p.maxAgeMs(),
		MaxRows:           pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.pruned.Decisions += row.Pruned
	p.decisionsAfter = place{id: row.Last, subscription: row.LastSubscription}
	if row.Seen < pruneStep {
		p.decisionsAfter = place{}
		return false, nil
	}
	return true, nil
}

// intents empties old intents without deliveries and decisions, and deletes those whose
// ids need not be known any more.
func (p *Pruner) intents(ctx context.Context, q *store.Queries) (bool, error) {
	dedupe := p.Retention.Dedupe.Milliseconds()
	row, err := q.LockOldIntents(ctx, &store.LockOldIntentsParams{
		After:    p.intentsAfter,
		MaxAgeMs: p.maxAgeMs(),
		DedupeMs: dedupe,
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	if len(row.Ids) > 0 {
		done, err := q.PruneIntents(ctx, &store.PruneIntentsParams{Ids: store.UUIDs(row.Ids), DedupeMs: dedupe})
		if err != nil {
			return false, err
		}
		p.pruned.Payloads += done.Emptied
		p.pruned.Intents += done.Forgotten
	}
	if row.Seen < pruneStep {
		p.intentsAfter = uuid.Nil
		return false, nil
	}
	p.intentsAfter = row.Last
	return true, nil
}

// erasures deletes the records of resources that were erased long ago.
func (p *Pruner) erasures(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.PruneErasures(ctx, &store.PruneErasuresParams{
		After:    append([]byte{}, p.erasuresAfter...), // not NULL
		MaxAgeMs: openFor.Milliseconds(),
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	p.erasuresAfter = row.Last
	if row.Seen < pruneStep {
		p.erasuresAfter = nil
		return false, nil
	}
	return true, nil
}
