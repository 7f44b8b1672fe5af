package maintain

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/store"
)

// Reconciler makes new River jobs for rows whose job was lost, or does not begin. The
// statements ReconcileDeliveries (queries/delivery_reconcile.sql), ReconcileIntents
// (queries/intent.sql) and ReconcileDecisions (queries/decision.sql) insert them; which job
// counts as lost is said by the function job_lost of the schema.
type Reconciler struct {
	Lost  time.Duration  // how long a row may be due without a living job
	Store *store.Queries // with plans that are kept
}

// Deliveries returns how many deliveries have got a new job.
func (r *Reconciler) Deliveries(ctx context.Context) (int, error) {
	p := r.params()
	ids, err := r.Store.ReconcileDeliveries(ctx, &p)
	return len(ids), err
}

// Intents returns how many expansions have got a new job.
func (r *Reconciler) Intents(ctx context.Context) (int, error) {
	p := r.params()
	ids, err := r.Store.ReconcileIntents(ctx, new(store.ReconcileIntentsParams(p)))
	return len(ids), err
}

// Decisions returns of how many intents the decisions that wait have got a new job.
func (r *Reconciler) Decisions(ctx context.Context) (int, error) {
	p := r.params()
	ids, err := r.Store.ReconcileDecisions(ctx, new(store.ReconcileDecisionsParams(p)))
	return len(ids), err
}

// params are the same for all three.
func (r *Reconciler) params() store.ReconcileDeliveriesParams {
	return store.ReconcileDeliveriesParams{
		GraceMs: r.Lost.Milliseconds(),
		LateMs:  jobs.LateAfter.Milliseconds(),
		EarlyMs: jobs.EarlyBy.Milliseconds(),
		MaxRows: maintainRows,
	}
}
