package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/internal/store"
)

// loadIntents is the flush of the batch of loads of intents; an intent that is
// gone is nil.
func (e *Engine) loadIntents(ctx context.Context, ids []uuid.UUID) ([]*intent, error) {
	rows, err := e.frequent.LoadIntents(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("delivery: load intents: %w", err)
	}
	byID := make(map[uuid.UUID]*intent, len(rows))
	for _, row := range rows {
		if byID[row.ID], err = newIntent(row); err != nil {
			return nil, fmt.Errorf("delivery: load intents: %w", err)
		}
	}
	return inOrder(ids, byID), nil
}

// loadTargets is the flush of the batch of loads of deliveries.
func (e *Engine) loadTargets(ctx context.Context, ids []uuid.UUID) ([]*target, error) {
	readAt := time.Now()
	rows, err := e.store.LoadDeliveries(ctx, &store.LoadDeliveriesParams{Ids: store.UUIDs(ids), Inline: payloads.Inline})
	if err != nil {
		return nil, fmt.Errorf("delivery: load deliveries: %w", err)
	}
	byID := make(map[uuid.UUID]*target, len(rows))
	now := time.Now()
	for _, row := range rows {
		if byID[row.ID], err = newTarget(row, readAt, now); err != nil {
			return nil, fmt.Errorf("delivery: load deliveries: %w", err)
		}
	}
	return inOrder(ids, byID), nil
}

func inOrder[T any](ids []uuid.UUID, byID map[uuid.UUID]*T) []*T {
	out := make([]*T, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out
}

// carriedIDs finds what earlier runs of a job have left: the deliveries that the job
// carries still, except for those that it has just made.
func (e *Engine) carriedIDs(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID, fresh []*target) ([]uuid.UUID, error) {
	ids, err := e.store.CarriedDeliveries(ctx, &store.CarriedDeliveriesParams{IntentID: intentID, JobID: by.JobID})
	if err != nil {
		return nil, callbacks.Stall("load the deliveries of an intent", err)
	}
	made := make(map[uuid.UUID]bool, len(fresh))
	for _, t := range fresh {
		made[t.ID] = true
	}
	return slices.DeleteFunc(ids, func(id uuid.UUID) bool { return made[id] }), nil
}

// attemptLater makes a later attempt of a delivery, unless it has moved on to
// another job. It loads the delivery only now.
func (e *Engine) attemptLater(ctx context.Context, by callbacks.JobRef, id uuid.UUID, started time.Time) error {
	t, err := e.loads.Do(ctx, id)
	if err != nil {
		return callbacks.Stall("load the delivery", err)
	}
	if t == nil || t.State != attempt.StatePending || t.Hold != "" || t.JobID == nil || *t.JobID != by.JobID {
		return nil
	}
	t.Payloads = e.payloads.Hold(t.IntentID)
	defer t.Payloads.Release()
	return e.attemptOne(ctx, by, t, started)
}
