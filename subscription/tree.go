package subscription

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// Ancestors returns the sites from the one that a path names up to "/", by the tree of
// the store: what [access.SiteManagers] need. A path that leads out of the store's
// RootSite is an [ErrNotFound].
func (s *Store) Ancestors(ctx context.Context, site hierarchy.Path) ([]hierarchy.Path, error) {
	chain, err := s.ancestors(ctx, s.db(), site)
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	if !s.cfg.RootSite.Contains(chain[0]) {
		return nil, failed("find ancestors", fmt.Errorf("site %s: %w", text.Quote(string(site)), ErrNotFound))
	}
	return chain, nil
}

// asksTree says that the tree is the application's.
func (c Config) asksTree() bool {
	_, sites := c.Tree.(*hierarchy.Sites)
	return !sites && c.Tree != hierarchy.Paths
}

// ancestors asks the tree. [hierarchy.Sites] are read by db.
func (h *Handle) ancestors(ctx context.Context, db store.DBTX, p hierarchy.Path) ([]hierarchy.Path, error) {
	if _, ours := h.cfg.Tree.(*hierarchy.Sites); ours {
		chain, err := h.siteChain(ctx, db, p)
		if err != nil {
			return nil, err
		}
		return chain.Sites, nil
	}
	chain, err := sitetree.Call(ctx, sitetree.DefaultTimeout, func(ctx context.Context) ([]hierarchy.Path, error) {
		return h.cfg.Tree.Ancestors(ctx, p)
	})
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	return chain, sitetree.CheckAncestors(p, chain)
}

// siteChain reads the chain of a path in the table of sites.
func (h *Handle) siteChain(ctx context.Context, db store.DBTX, p hierarchy.Path) (*sitetree.Chain, error) {
	chains, err := sitetree.Chains(ctx, h.in(db), []sitetree.Asked{{Path: p}})
	if err != nil {
		return nil, err
	}
	return &chains[0], nil
}

// checkTree refuses sites along which the subscriptions of the store would not move.
func (c Config) checkTree() error {
	if sites, ok := c.Tree.(*hierarchy.Sites); ok && (sites == nil || sites.Schema() != c.Schema) {
		return errors.New("Tree: is no Sites of this schema, whose subscriptions would not move along")
	}
	return nil
}

// standingPlace is a site that a path has named when somebody was asked about it.
type standingPlace struct {
	path  hierarchy.Path
	token string // stays the same while the sites up to "/" do
}

// standingPlace is nil if the tree is no [hierarchy.Sites]: of other trees nobody can say.
func (h *Handle) standingPlace(ctx context.Context, db store.DBTX, p hierarchy.Path) (*standingPlace, error) {
	if _, ours := h.cfg.Tree.(*hierarchy.Sites); !ours {
		return nil, nil //nolint:nilnil // it is no error
	}
	chain, err := h.siteChain(ctx, db, p)
	if err != nil {
		return nil, err
	}
	return &standingPlace{path: p, token: chain.Token}, nil
}

// checkStanding holds the sites where they are. It is an errHasChanged if the path names
// another site by now, or one that is elsewhere.
func (h *Handle) checkStanding(ctx context.Context, tx pgx.Tx, asked *standingPlace) error {
	if asked == nil {
		return nil
	}
	if err := h.lockPlaces(ctx, tx); err != nil {
		return err
	}
	now, err := h.standingPlace(ctx, tx, asked.path)
	if err == nil && now.token != asked.token {
		err = errHasChanged
	}
	return err
}
