package maintain

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// resolvedRows is how much of one subscription a step releases.
const resolvedRows = 100

// CauseReviewer does for what is held for causes what follows from changes of subscriptions: it
// ends what is held of those that are not in force any more, and releases what does not need
// any more what it waits for, because the subscription has another schedule, dialect, secret
// or owner. It is not safe for concurrent use.
type CauseReviewer struct {
	Pace  Pace
	Store *store.Queries // with plans that are kept

	last  uuid.UUID // the last subscription that a step has looked at
	cause string    // and its last cause
}

// Run looks at the next subscriptions of which something is held for a cause, and returns how
// much it has ended or released.
func (r *CauseReviewer) Run(ctx context.Context) (int, error) { return r.Pace.walk(ctx, r.step) }

func (r *CauseReviewer) step(ctx context.Context) (s step, err error) {
	rows, err := r.Store.ReviewCauses(ctx, &store.ReviewCausesParams{
		After:      r.last,
		AfterCause: r.cause,
		MaxRows:    r.Pace.Rows,
	})
	if err != nil {
		return s, err
	}
	if len(rows) == 0 {
		r.last, r.cause = uuid.Nil, ""
		return step{end: true}, nil
	}
	for i := 0; i < len(rows) && s.busy < stepCancels; i++ {
		did, err := r.review(ctx, &rows[i])
		if s.busy += did; err != nil {
			return s, err
		}
		r.last, r.cause = rows[i].SubscriptionID, rows[i].Cause
		s.idle++
	}
	return s, nil
}

func (r *CauseReviewer) review(ctx context.Context, row *store.ReviewCausesRow) (int, error) {
	switch {
	case row.Deleted:
		return r.end(ctx, row.SubscriptionID, "the subscription was deleted")
	case subscription.State(row.State) == subscription.StateDeactivated:
		return r.end(ctx, row.SubscriptionID, attempt.DeactivatedReason(row.StateReason))
	case row.Resolved:
		released, err := r.Store.ReleaseResolved(ctx, &store.ReleaseResolvedParams{
			SubscriptionID: row.SubscriptionID,
			Cause:          row.Cause,
			MaxRows:        resolvedRows,
		})
		return sum(released), err
	default:
		return 0, nil
	}
}

func (r *CauseReviewer) end(ctx context.Context, id uuid.UUID, reason string) (int, error) {
	ended, err := r.Store.EndCaused(ctx, &store.EndCausedParams{
		Reason:         reason,
		SubscriptionID: id,
		MaxRows:        cancelRows,
	})
	return sum(ended), err
}

// sum is the one number that a statement returns; 0 with its error.
func sum(counts []int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
