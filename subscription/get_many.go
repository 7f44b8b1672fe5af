package subscription

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// GetMany returns the subscriptions that have one of the ids, in the order of
// their ids, deleted ones included until they are forgotten (delivery.HistoryRules.MaxAge).
// Other ids are left out.
func (s *Store) GetMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	subs, err := s.getMany(ctx, ids)
	return outcome("get subscriptions", subs, err)
}

func (s *Store) getMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	rows, err := s.in(s.db()).GetSubscriptions(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row store.Subscription) bool { return !s.cfg.RootSite.Contains(hierarchy.Path(row.Site)) })
	return subscriptionsOf(rows)
}
