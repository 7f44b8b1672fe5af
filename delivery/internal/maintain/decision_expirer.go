package maintain

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// DecisionExpirer ends decisions that are held for a cause for longer than MaxHold, by the
// statement ExpireDecisions (queries/delivery_hold_cause.sql): they have failed.
type DecisionExpirer struct {
	MaxHold time.Duration
	Pace    Pace
	Store   *store.Queries // with plans that are kept
}

// Run returns how many have failed. An index has those first that are held for longest.
func (x *DecisionExpirer) Run(ctx context.Context) (int, error) {
	return x.Pace.walk(ctx, func(ctx context.Context) (step, error) {
		ids, err := x.Store.ExpireDecisions(ctx, &store.ExpireDecisionsParams{MaxHoldMs: x.MaxHold.Milliseconds(), MaxRows: x.Pace.Rows})
		return step{busy: len(ids), end: len(ids) < x.Pace.Rows}, err
	})
}
