package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// lostAfter is how long something due may be without a living River job
// before a new one is made.
const lostAfter = 15 * time.Second

// maintainOnce does what no job does. Each task is safe beside itself in other
// engines: rows that another holds are skipped.
func (e *Engine) maintainOnce(ctx context.Context) error {
	return e.maintain(ctx, lostAfter)
}

func (e *Engine) maintain(ctx context.Context, lost time.Duration) error {
	e.forgetUnused(time.Now())
	var errs []error
	for _, task := range []struct {
		name string
		run  func(ctx context.Context) (int, error)
	}{
		{"probe circuits", counted(e.store.ProbeCircuits)},
		{"release held deliveries", e.sweepHeld},
		{"expire held deliveries", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.store.ExpireHeld(ctx, e.cfg.MaxHold.Milliseconds())
		})},
		{"find lost deliveries", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.store.ReconcileDeliveries(ctx, lost.Milliseconds())
		})},
		{"find lost expansions", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.store.ReconcileIntents(ctx, lost.Milliseconds())
		})},
		{"find lost decisions", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.store.ReconcileDecisions(ctx, lost.Milliseconds())
		})},
		{"deactivate subscriptions", e.deactivateDue},
	} {
		n, err := task.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("delivery: %s: %w", task.name, err))
			continue
		}
		if n > 0 {
			e.log.InfoContext(ctx, "riverhook: maintenance", "task", task.name, "rows", n)
		}
	}
	return errors.Join(errs...)
}

func counted(f func(ctx context.Context) ([]uuid.UUID, error)) func(ctx context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		ids, err := f(ctx)
		return len(ids), err
	}
}
