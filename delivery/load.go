package delivery

import (
	"context"
	"fmt"

	"github.com/google/uuid"

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

func inOrder[T any](ids []uuid.UUID, byID map[uuid.UUID]*T) []*T {
	out := make([]*T, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out
}
