package maintain

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// HeldExpirer ends deliveries that are held for longer than MaxHold, by the statement
// ExpireHeld (queries/delivery_end.sql). Nothing else lets a delivery expire.
type HeldExpirer struct {
	MaxHold time.Duration
	Pace    Pace
	Store   *store.Queries // with plans that are kept
}

// Run returns how many expired. An index has those first that are held for longest, so it
// reads no others.
func (x *HeldExpirer) Run(ctx context.Context) (int, error) {
	return x.Pace.walk(ctx, func(ctx context.Context) (step, error) {
		ids, err := x.Store.ExpireHeld(ctx, &store.ExpireHeldParams{MaxHoldMs: x.MaxHold.Milliseconds(), MaxRows: x.Pace.Rows})
		return step{busy: len(ids), end: len(ids) < x.Pace.Rows}, err
	})
}
