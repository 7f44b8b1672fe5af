package maintain

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/store"
)

// Reconciler makes new River jobs for rows whose job was lost, or does not begin. It reads
// what is due by the statements WatchDeliveries (queries/delivery_reconcile.sql),
// WatchIntents (queries/intent.sql) and WatchDecisions (queries/decision.sql), and has the
// statements that are called Reconcile, beside those, look at what these have found again,
// and insert the jobs. The function job_lost of the schema says which job counts as lost. A
// Reconciler is not safe for concurrent use.
type Reconciler struct {
	Lost  time.Duration // how long a row may be due without a living job
	Pace  Pace
	Store *store.Queries // with plans that are kept

	deliveries, intents, decisions place
}

// place is the row that a task has read last. The zero place is before all rows.
type place struct {
	at           time.Time // when it was due
	id           uuid.UUID
	subscription uuid.UUID
	carries      bool // a delivery of the intent that was read before is a first attempt that its jobs carry
}

// Deliveries reads deliveries that are due by a time of their own. It returns how many have
// got a new job.
func (r *Reconciler) Deliveries(ctx context.Context) (int, error) {
	return r.Pace.walk(ctx, func(ctx context.Context) (step, error) {
		row, err := r.Store.WatchDeliveries(ctx, &store.WatchDeliveriesParams{
			AfterAt: r.deliveries.at,
			After:   r.deliveries.id,
			GraceMs: r.Lost.Milliseconds(),
			LateMs:  jobs.LateAfter.Milliseconds(),
			EarlyMs: jobs.EarlyBy.Milliseconds(),
			MaxRows: r.Pace.Rows,
		})
		if err != nil {
			return step{}, err
		}
		s := step{idle: row.Seen - len(row.Lost), end: row.Seen < r.Pace.Rows}
		r.deliveries = place{at: row.LastAt, id: row.Last}
		if s.end {
			r.deliveries = place{}
		}
		s.busy, err = r.reconcileDeliveries(ctx, row.Lost)
		return s, err
	})
}

// Intents reads intents that are being expanded, or whose jobs carry first attempts, and
// their deliveries. It ends the watch over those that carry nothing any more, and returns
// how many expansions and deliveries have got a new job.
func (r *Reconciler) Intents(ctx context.Context) (found int, err error) {
	_, err = r.Pace.walk(ctx, func(ctx context.Context) (step, error) {
		row, err := r.Store.WatchIntents(ctx, &store.WatchIntentsParams{
			AfterAt:           r.intents.at,
			After:             r.intents.id,
			AfterSubscription: r.intents.subscription,
			Carries:           r.intents.carries,
			GraceMs:           r.Lost.Milliseconds(),
			LateMs:            jobs.LateAfter.Milliseconds(),
			EarlyMs:           jobs.EarlyBy.Milliseconds(),
			MaxRows:           r.Pace.Rows,
		})
		if err != nil {
			return step{}, err
		}
		s := step{
			busy: row.Closed,
			idle: row.Idle - len(row.LostExpansions) - len(row.LostDeliveries),
			end:  row.IsEnd,
		}
		r.intents = place{
			at:           row.LastAt,
			id:           row.Last,
			subscription: row.LastSubscription,
			carries:      row.LastCarries,
		}
		if s.end {
			r.intents = place{}
		}
		expansions, err := r.reconcileIntents(ctx, row.LostExpansions)
		if found += expansions; err != nil {
			return s, err
		}
		deliveries, err := r.reconcileDeliveries(ctx, row.LostDeliveries)
		found += deliveries
		s.busy += expansions + deliveries
		return s, err
	})
	return found, err
}

// Decisions reads decisions that wait. It returns of how many intents they have got a new
// job.
func (r *Reconciler) Decisions(ctx context.Context) (int, error) {
	return r.Pace.walk(ctx, func(ctx context.Context) (step, error) {
		row, err := r.Store.WatchDecisions(ctx, &store.WatchDecisionsParams{
			AfterAt:           r.decisions.at,
			After:             r.decisions.id,
			AfterSubscription: r.decisions.subscription,
			GraceMs:           r.Lost.Milliseconds(),
			LateMs:            jobs.LateAfter.Milliseconds(),
			EarlyMs:           jobs.EarlyBy.Milliseconds(),
			MaxRows:           r.Pace.Rows,
		})
		if err != nil {
			return step{}, err
		}
		s := step{idle: row.Seen - len(row.LostIntents), end: row.Seen < r.Pace.Rows}
		r.decisions = place{
			at:           row.LastAt,
			id:           row.Last,
			subscription: row.LastSubscription,
		}
		if s.end {
			r.decisions = place{}
		}
		if len(row.LostIntents) == 0 {
			return s, nil
		}
		ids, err := r.Store.ReconcileDecisions(ctx, &store.ReconcileDecisionsParams{
			Intents:       store.UUIDs(row.LostIntents),
			Subscriptions: store.UUIDs(row.LostSubscriptions),
			LateMs:        jobs.LateAfter.Milliseconds(),
			EarlyMs:       jobs.EarlyBy.Milliseconds(),
		})
		s.busy = len(ids)
		return s, err
	})
}

func (r *Reconciler) reconcileDeliveries(ctx context.Context, lost []uuid.UUID) (int, error) {
	if len(lost) == 0 {
		return 0, nil
	}
	ids, err := r.Store.ReconcileDeliveries(ctx, &store.ReconcileDeliveriesParams{
		Ids:     store.UUIDs(lost),
		LateMs:  jobs.LateAfter.Milliseconds(),
		EarlyMs: jobs.EarlyBy.Milliseconds(),
	})
	return len(ids), err
}

func (r *Reconciler) reconcileIntents(ctx context.Context, lost []uuid.UUID) (int, error) {
	if len(lost) == 0 {
		return 0, nil
	}
	ids, err := r.Store.ReconcileIntents(ctx, &store.ReconcileIntentsParams{
		Ids:     store.UUIDs(lost),
		LateMs:  jobs.LateAfter.Milliseconds(),
		EarlyMs: jobs.EarlyBy.Milliseconds(),
	})
	return len(ids), err
}
