package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// DeleteByOwnerOpts narrows what DeleteByOwner deletes.
type DeleteByOwnerOpts struct {
	// Under is a site at which or below which subscriptions are deleted.
	// Default: "/", everywhere.
	Under Path
}

// Delete deletes a subscription, and its secrets for good. What it was sent
// stays in the history. Its pending deliveries end cancelled. A second time is
// an [ErrNotFound].
func (s *Subscriptions) Delete(ctx context.Context, id uuid.UUID) error {
	return failed("delete subscription", s.remove(ctx, s.pool, id))
}

// DeleteTx is Delete in the caller's transaction.
func (s *Subscriptions) DeleteTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return failed("delete subscription", s.remove(ctx, tx, id))
}

// DeleteByOwner deletes all subscriptions of an owner, wherever they are, and
// returns how many there were. Call it in the transaction that removes the
// principal.
func (s *Subscriptions) DeleteByOwner(ctx context.Context, owner string, opts *DeleteByOwnerOpts) (int, error) {
	n, err := s.removeOf(ctx, s.pool, owner, opts)
	return outcome("delete subscriptions by owner", n, err)
}

// DeleteByOwnerTx is DeleteByOwner in the caller's transaction.
func (s *Subscriptions) DeleteByOwnerTx(ctx context.Context, tx pgx.Tx, owner string, opts *DeleteByOwnerOpts) (int, error) {
	n, err := s.removeOf(ctx, tx, owner, opts)
	return outcome("delete subscriptions by owner", n, err)
}

func (s *Subscriptions) remove(ctx context.Context, db store.DBTX, id uuid.UUID) error {
	n, err := s.in(db).DeleteSubscription(ctx, id)
	if err == nil && n == 0 {
		return fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	return err
}

func (s *Subscriptions) removeOf(ctx context.Context, db store.DBTX, owner string, opts *DeleteByOwnerOpts) (int, error) {
	var o DeleteByOwnerOpts
	if opts != nil {
		o = *opts
	}
	if owner == "" {
		return 0, errors.New("owner: is empty; subscriptions of the operator are deleted one by one")
	}
	if err := checkText(owner, maxIDText); err != nil {
		return 0, fmt.Errorf("owner: %w", err)
	}
	if _, err := ParsePath(string(o.Under.orRoot())); err != nil {
		return 0, fmt.Errorf("Under: %w", err)
	}
	n, err := s.in(db).DeleteSubscriptionsOf(ctx, &store.DeleteSubscriptionsOfParams{Owner: owner, Under: string(o.Under.orRoot())})
	return int(n), err
}
