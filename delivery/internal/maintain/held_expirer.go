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
	Store   *store.Queries // with plans that are kept
}

// Run returns how many expired.
func (x *HeldExpirer) Run(ctx context.Context) (int, error) {
	ids, err := x.Store.ExpireHeld(ctx, &store.ExpireHeldParams{MaxHoldMs: x.MaxHold.Milliseconds(), MaxRows: maintainRows})
	return len(ids), err
}
