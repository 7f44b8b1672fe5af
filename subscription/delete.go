package subscription

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// Delete deletes a subscription, and its secrets for good. What it was sent
// stays in the history. Its pending deliveries end cancelled. A second time is
// an [ErrNotFound].
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	return s.change(ctx, "delete subscription", func(tx pgx.Tx) error { return s.remove(ctx, tx, id) })
}

func (s *Store) remove(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	q := s.in(tx)
	ids, err := q.LockSubscriptionWithin(ctx, &store.LockSubscriptionWithinParams{ID: id, Under: string(s.cfg.RootSite)})
	switch {
	case err != nil:
		return err
	case len(ids) == 0:
		return fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	return q.DeleteSubscriptions(ctx, store.UUIDs(ids))
}
