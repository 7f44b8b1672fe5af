package subscription

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

func (h *Handle) getMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	rows, err := h.in(h.db()).GetSubscriptions(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row store.Subscription) bool { return !h.cfg.RootSite.Contains(hierarchy.Path(row.Site)) })
	return subscriptionsOf(rows)
}
