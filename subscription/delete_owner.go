package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// DeleteByOwnerOpts narrows what DeleteByOwner deletes. Those that are given must
// all hold.
type DeleteByOwnerOpts struct {
	// Above is a site at which or above which subscriptions are deleted, up to
	// "/": that of a principal who has left it. It may be a former path: the sites are
	// those that Config.Tree names. Default: everywhere.
	Above hierarchy.Path

	// Under is a site, by its present path, at which or below which subscriptions are deleted.
	// Default: "/", everywhere.
	Under hierarchy.Path
}

func (o DeleteByOwnerOpts) withDefaults() DeleteByOwnerOpts {
	o.Under = sitetree.OrRoot(o.Under)
	return o
}

func (o DeleteByOwnerOpts) validate() error {
	if o.Above != "" {
		if _, err := hierarchy.ParsePath(string(o.Above)); err != nil {
			return fmt.Errorf("Above: %w", err)
		}
	}
	if _, err := hierarchy.ParsePath(string(o.Under)); err != nil {
		return fmt.Errorf("Under: %w", err)
	}
	return nil
}

// DeleteByOwner deletes all subscriptions of an owner, wherever they are or as
// opts say, and returns how many there were. Each is deleted as by Delete: what is
// pending for it ends cancelled. Call it in the transaction that removes the
// principal: when that rolls back, nothing has happened.
//
// It waits for transactions that create a subscription of the owner, or give one
// another site, and deletes what they leave; those that begin later wait for it, and
// then go on. An application that creates in a transaction of its own therefore
// verifies that the principal exists after Create has returned.
//
// The sites of Above and the subscriptions there are those of one version of the tree.
// A tree of the application is asked before a connection is taken. The deletion is
// repeated if the tree has another version afterwards, or if there are other
// subscriptions ([hierarchy.ErrTreeChanges] after five times). A tree that is no [hierarchy.VersionedTree]
// can change unnoticed between its answer and the reading of the subscriptions.
//
// In a transaction of the caller's a tree of the application is asked while that is open.
// Under a stricter isolation than READ COMMITTED it fails with SQLSTATE 40001 if a
// subscription of the owner was created meanwhile. It can deadlock with a transaction that
// creates a subscription of the owner and then changes another one. Run the transaction
// again in both cases.
func (s *Store) DeleteByOwner(ctx context.Context, owner string, opts *DeleteByOwnerOpts) (int, error) {
	const action = "delete subscriptions by owner"
	var o DeleteByOwnerOpts
	if opts != nil {
		o = *opts
	}
	for range sitetree.MaxLooks {
		r, err := s.removalOf(ctx, owner, o.withDefaults())
		if err != nil || r == nil {
			return 0, failed(action, err)
		}
		n, err := run(ctx, &s.Handle, action, func(tx pgx.Tx) (int, error) { return s.removeAll(ctx, tx, r) })
		if !errors.Is(err, errHaveMoved) {
			return n, err
		}
	}
	return 0, failed(action, hierarchy.ErrTreeChanges)
}

// errHaveMoved means that the subscriptions at some sites are others than before.
var errHaveMoved = errors.New("the subscriptions have moved")

// removal is a deletion by owner that was found good.
type removal struct {
	owner string
	above hierarchy.Path // "": of no site
	under hierarchy.Path

	// chain and seen are what a tree of the application has answered for above, and the
	// subscriptions that were there.
	chain []hierarchy.Path
	seen  []uuid.UUID
}

// removalOf is nil if there is nothing to be deleted.
func (s *Store) removalOf(ctx context.Context, owner string, o DeleteByOwnerOpts) (*removal, error) {
	if owner == "" {
		return nil, errors.New("owner: is empty; subscriptions of the operator are deleted one by one")
	}
	if err := text.Check(owner, text.MaxID); err != nil {
		return nil, fmt.Errorf("owner: %w", err)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	under, overlaps := s.cfg.within(o.Under)
	if !overlaps {
		return nil, nil //nolint:nilnil // it is no error
	}
	r := &removal{
		owner: owner,
		above: o.Above,
		under: under,
	}
	if o.Above == "" || !s.cfg.asksTree() {
		return r, nil
	}
	err := sitetree.Steadily(ctx, s.cfg.Tree, sitetree.DefaultTimeout, func(string) (err error) {
		if r.chain, err = s.ancestors(ctx, s.db(), o.Above); err != nil {
			return err
		}
		r.seen, err = s.in(s.db()).SubscriptionsOf(ctx, (*store.SubscriptionsOfParams)(r.params(r.chain)))
		return err
	})
	return r, err
}

func (r *removal) params(chain []hierarchy.Path) *store.LockSubscriptionsOfParams {
	p := &store.LockSubscriptionsOfParams{
		Owner: r.owner,
		Sites: []string{},
		Under: string(r.under),
	}
	for _, site := range chain {
		p.Sites = append(p.Sites, string(site))
	}
	return p
}

// removeAll deletes in one transaction.
func (s *Store) removeAll(ctx context.Context, tx pgx.Tx, r *removal) (int, error) {
	if r.above != "" || r.under != hierarchy.Root {
		if err := s.lockPlaces(ctx, tx); err != nil {
			return 0, err
		}
	}
	chain := r.chain
	if r.above != "" && chain == nil {
		var err error
		if chain, err = s.ancestors(ctx, tx, r.above); err != nil {
			return 0, err
		}
	}
	ids, err := s.lockOwned(ctx, tx, r.owner, r.params(chain))
	switch {
	case err != nil:
		return 0, err
	case r.chain != nil && !slices.Equal(ids, r.seen):
		return 0, errHaveMoved
	case len(ids) == 0:
		return 0, nil
	}
	return len(ids), s.in(tx).DeleteSubscriptions(ctx, store.UUIDs(ids))
}

// errIsLocked means that somebody has locked a subscription that came before the gate of
// its owner was passed.
var errIsLocked = errors.New("a subscription is locked")

// maxLocks is how often the subscriptions of an owner are locked anew.
const maxLocks = 50

// lockOwned locks what is to be deleted, and passes the gate of its owner behind that, as
// those do who change a subscription and then create one. What has come until the gate was
// passed is not waited for behind it, since who has locked it can be waiting for the gate:
// all that was locked is given back, and locked anew. Where that comes to nothing, it waits.
func (s *Store) lockOwned(
	ctx context.Context, tx pgx.Tx, owner string, p *store.LockSubscriptionsOfParams,
) (ids []uuid.UUID, err error) {
	for range maxLocks {
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) {
			ids, err = s.tryLockOwned(ctx, tx, owner, p)
			return err
		})
		if !errors.Is(err, errIsLocked) {
			return ids, err
		}
	}
	if err := s.takeCreationLocks(ctx, tx, owner, ""); err != nil {
		return nil, err
	}
	return s.in(tx).LockSubscriptionsOf(ctx, p)
}

func (s *Store) tryLockOwned(
	ctx context.Context, tx pgx.Tx, owner string, p *store.LockSubscriptionsOfParams,
) ([]uuid.UUID, error) {
	q := s.in(tx)
	if _, err := q.LockSubscriptionsOf(ctx, p); err != nil {
		return nil, err
	}
	if err := s.takeCreationLocks(ctx, tx, owner, ""); err != nil {
		return nil, err
	}
	locked, err := q.TryLockSubscriptionsOf(ctx, (*store.TryLockSubscriptionsOfParams)(p))
	if err != nil {
		return nil, err
	}
	all, err := q.SubscriptionsOf(ctx, (*store.SubscriptionsOfParams)(p))
	if err == nil && !slices.Equal(locked, all) {
		err = errIsLocked
	}
	return all, err
}
