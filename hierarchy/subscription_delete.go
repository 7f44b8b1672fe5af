package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// DeleteByOwnerOpts narrows what DeleteByOwner deletes. Those that are given must
// all hold.
type DeleteByOwnerOpts struct {
	// Above is a site at which or above which subscriptions are deleted, up to
	// "/": that of a principal who has left it. Default: everywhere.
	Above Path

	// Tree says which sites are above Above. Default: Paths.
	Tree Tree

	// Under is a site at which or below which subscriptions are deleted.
	// Default: "/", everywhere.
	Under Path
}

func (o DeleteByOwnerOpts) withDefaults() DeleteByOwnerOpts {
	o.Under = o.Under.orRoot()
	if o.Tree == nil {
		o.Tree = Paths
	}
	return o
}

func (o DeleteByOwnerOpts) validate() error {
	if o.Above != "" {
		if _, err := ParsePath(string(o.Above)); err != nil {
			return fmt.Errorf("Above: %w", err)
		}
	}
	if _, err := ParsePath(string(o.Under)); err != nil {
		return fmt.Errorf("Under: %w", err)
	}
	return nil
}

// Delete deletes a subscription, and its secrets for good. What it was sent
// stays in the history. Its pending deliveries end cancelled. A second time is
// an [ErrNotFound].
func (s *Subscriptions) Delete(ctx context.Context, id uuid.UUID) error {
	_, err := inTx(ctx, s.pool, "delete subscription", func(tx pgx.Tx) (struct{}, error) {
		return struct{}{}, s.remove(ctx, tx, id)
	})
	return err
}

// DeleteTx is Delete in the caller's transaction.
func (s *Subscriptions) DeleteTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return failed("delete subscription", s.remove(ctx, tx, id))
}

// DeleteByOwner deletes all subscriptions of an owner, wherever they are or as
// opts say, and returns how many there were. Each is deleted as by Delete: what is
// pending for it ends cancelled. Call it in the transaction that removes the
// principal: when that rolls back, nothing has happened.
func (s *Subscriptions) DeleteByOwner(ctx context.Context, owner string, opts *DeleteByOwnerOpts) (int, error) {
	return inTx(ctx, s.pool, "delete subscriptions by owner", func(tx pgx.Tx) (int, error) {
		return s.removeOf(ctx, tx, owner, opts)
	})
}

// DeleteByOwnerTx is DeleteByOwner in the caller's transaction. A Tree that is a
// [Sites] is asked within it, other trees are not.
func (s *Subscriptions) DeleteByOwnerTx(ctx context.Context, tx pgx.Tx, owner string, opts *DeleteByOwnerOpts) (int, error) {
	n, err := s.removeOf(ctx, tx, owner, opts)
	return outcome("delete subscriptions by owner", n, err)
}

func (s *Subscriptions) remove(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
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

func (s *Subscriptions) removeOf(ctx context.Context, tx pgx.Tx, owner string, opts *DeleteByOwnerOpts) (int, error) {
	var o DeleteByOwnerOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if owner == "" {
		return 0, errors.New("owner: is empty; subscriptions of the operator are deleted one by one")
	}
	if err := checkText(owner, maxIDText); err != nil {
		return 0, fmt.Errorf("owner: %w", err)
	}
	if err := o.validate(); err != nil {
		return 0, err
	}
	under, overlaps := s.cfg.within(o.Under)
	if !overlaps {
		return 0, nil
	}
	sites, err := o.sites(ctx, tx)
	if err != nil {
		return 0, err
	}
	q := s.in(tx)
	ids, err := q.LockSubscriptionsOf(ctx, &store.LockSubscriptionsOfParams{Owner: owner, Sites: sites, Under: string(under)})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), q.DeleteSubscriptions(ctx, store.UUIDs(ids))
}

// sites are those at which subscriptions are deleted; none: at any.
func (o DeleteByOwnerOpts) sites(ctx context.Context, db store.DBTX) ([]string, error) {
	sites := []string{}
	if o.Above == "" {
		return sites, nil
	}
	chain, err := ancestorsIn(ctx, db, o.Tree, o.Above)
	for _, site := range chain {
		sites = append(sites, string(site))
	}
	return sites, err
}
