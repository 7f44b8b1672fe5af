package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// lostAfter is how long something due may be without a living River job
	// before a new one is made.
	lostAfter = 15 * time.Second

	// settleRows is how many intents one statement settles.
	settleRows = 2000

	// maintainRows is how many rows one statement expires, or finds lost.
	maintainRows = 500
)

// maintainOnce does what no job does. Each task is safe beside itself in other
// engines: rows that another holds are skipped.
func (e *Engine) maintainOnce(ctx context.Context) error {
	return e.maintain(ctx, lostAfter)
}

func (e *Engine) maintain(ctx context.Context, lost time.Duration) error {
	e.opener.ForgetUnused(e.now())
	e.clients.CloseUnused(e.now())
	e.limiter.DropUnused(time.Now()) // by the clock of their use
	errs := []error{e.settleIntents(ctx)}
	reconcile := store.ReconcileDeliveriesParams{
		GraceMs: lost.Milliseconds(),
		LateMs:  jobs.LateAfter.Milliseconds(),
		EarlyMs: jobs.EarlyBy.Milliseconds(),
		MaxRows: maintainRows,
	}
	for _, task := range []struct {
		name string
		run  func(ctx context.Context) (int, error)
	}{
		{"release held deliveries", e.sweepHeld},
		{"expire held deliveries", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.frequent.ExpireHeld(ctx, &store.ExpireHeldParams{MaxHoldMs: e.cfg.MaxHold.Milliseconds(), MaxRows: maintainRows})
		})},
		{"find lost deliveries", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.frequent.ReconcileDeliveries(ctx, &reconcile)
		})},
		{"find lost expansions", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.frequent.ReconcileIntents(ctx, new(store.ReconcileIntentsParams(reconcile)))
		})},
		{"find lost decisions", counted(func(ctx context.Context) ([]uuid.UUID, error) {
			return e.frequent.ReconcileDecisions(ctx, new(store.ReconcileDecisionsParams(reconcile)))
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

// settleIntents ends the watch over intents of which nothing can be lost any more. It
// comes before the search for what is lost, which reads those that are left.
func (e *Engine) settleIntents(ctx context.Context) error {
	for {
		ids, err := e.frequent.SettleIntents(ctx, settleRows)
		if err != nil {
			return fmt.Errorf("delivery: settle intents: %w", err)
		}
		if len(ids) < settleRows {
			return nil
		}
	}
}

func counted(f func(ctx context.Context) ([]uuid.UUID, error)) func(ctx context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		ids, err := f(ctx)
		return len(ids), err
	}
}
