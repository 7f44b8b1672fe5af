package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// Ancestors returns the sites from the one that a path names up to "/", by the tree of
// the store: what [access.SiteManagers] need. A path that leads out of the store's
// RootSite is an [ErrNotFound].
func (s *Subscriptions) Ancestors(ctx context.Context, site Path) ([]Path, error) {
	chain, err := s.ancestors(ctx, s.pool, site)
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	if !s.cfg.RootSite.Contains(chain[0]) {
		return nil, failed("find ancestors", fmt.Errorf("site %s: %w", quoted(string(site)), ErrNotFound))
	}
	return chain, nil
}

// asksTree says that the tree is the application's.
func (c SubscriptionsConfig) asksTree() bool {
	switch c.Tree.(type) {
	case pathTree, *Sites:
		return false
	default:
		return true
	}
}

// ancestors asks the tree. [Sites] are read by db.
func (s *Subscriptions) ancestors(ctx context.Context, db store.DBTX, p Path) ([]Path, error) {
	if sites, ok := s.cfg.Tree.(*Sites); ok {
		chains, err := sites.ancestors(ctx, db, []Path{p})
		if err != nil {
			return nil, err
		}
		return chains[0], nil
	}
	chain, err := ofTree(ctx, defaultTreeTimeout, func(ctx context.Context) ([]Path, error) { return s.cfg.Tree.Ancestors(ctx, p) })
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	if err := checkChain(chain); err != nil {
		return nil, fmt.Errorf("tree: ancestors of %s: %w: %w", quoted(string(p)), errTree, err)
	}
	return chain, nil
}

// checkTree refuses sites along which the subscriptions of a schema would not move.
func checkTree(tree Tree, schema string) error {
	if sites, ok := tree.(*Sites); ok && (sites == nil || sites.cfg.Schema != schema) {
		return errors.New("Tree: is no Sites of this schema, whose subscriptions would not move along")
	}
	return nil
}

// standingPlace is a site that a path has named when somebody was asked about it.
type standingPlace struct {
	path  Path
	token string // stays the same while the sites up to "/" do
}

// standingPlace is nil if the tree is no [Sites]: of other trees nobody can say.
func (s *Subscriptions) standingPlace(ctx context.Context, db store.DBTX, p Path) (*standingPlace, error) {
	if _, ours := s.cfg.Tree.(*Sites); !ours {
		return nil, nil //nolint:nilnil // it is no error
	}
	chains, err := siteChains(ctx, s.in(db), []askedPath{{path: p}})
	if err != nil {
		return nil, err
	}
	return &standingPlace{path: p, token: chains[0].token}, nil
}

// checkStanding holds the sites where they are. It is an errHasChanged if the path names
// another site by now, or one that is elsewhere.
func (s *Subscriptions) checkStanding(ctx context.Context, tx pgx.Tx, asked *standingPlace) error {
	if asked == nil {
		return nil
	}
	if err := s.lockPlaces(ctx, tx); err != nil {
		return err
	}
	now, err := s.standingPlace(ctx, tx, asked.path)
	if err == nil && now.token != asked.token {
		err = errHasChanged
	}
	return err
}
