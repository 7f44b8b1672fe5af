package hierarchy

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// GetMany returns the subscriptions that have one of the ids, in the order of
// their ids, deleted ones included. Ids that never existed are left out.
func (s *Subscriptions) GetMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	rows, err := s.in(s.pool).GetSubscriptions(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("hierarchy: get subscriptions: %w", err)
	}
	return subscriptionsOf(rows)
}
