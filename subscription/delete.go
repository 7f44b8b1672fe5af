package subscription

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

func (h *Handle) remove(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	q := h.in(tx)
	ids, err := q.LockSubscriptionWithin(ctx, &store.LockSubscriptionWithinParams{ID: id, Under: string(h.cfg.RootSite)})
	switch {
	case err != nil:
		return err
	case len(ids) == 0:
		return fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	return q.DeleteSubscriptions(ctx, store.UUIDs(ids))
}
