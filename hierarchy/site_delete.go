package hierarchy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

const reasonSiteDeleted = "site deleted"

// DeleteSiteOpts says how far a deletion goes.
type DeleteSiteOpts struct {
	// Recursive deletes all sites below as well. Default: a site with others
	// below it is refused.
	Recursive bool
}

// Delete deletes a site. Its path, and every path that it had, lead to its
// parent from then on: what still happens there is told there and above.
// Subscriptions at the site and below it are deactivated with the reason "site
// deleted", and are activated again only after an update gave them a site. Errors: [ErrNotFound], [ErrRootSite], [ErrSiteHasChildren].
func (s *Sites) Delete(ctx context.Context, p Path, opts *DeleteSiteOpts) error {
	_, err := s.run(ctx, "delete site", func(tx pgx.Tx) (*Site, error) { return nil, s.remove(ctx, tx, p, opts) })
	return err
}

func (s *Sites) remove(ctx context.Context, tx pgx.Tx, p Path, opts *DeleteSiteOpts) error {
	if p == Root {
		return ErrRootSite
	}
	q, err := s.lock(ctx, tx)
	if err != nil {
		return err
	}
	site, err := s.find(ctx, q, p)
	if err != nil {
		return err
	}
	if opts == nil || !opts.Recursive {
		parent, err := q.HasChildSites(ctx, &site.ID)
		if err != nil {
			return err
		}
		if parent {
			return fmt.Errorf("site %s: %w", text.Quote(string(p)), ErrSiteHasChildren)
		}
	}
	change, err := q.NextSiteChange(ctx)
	if err != nil {
		return err
	}
	inherited := &store.BequeathAliasesParams{
		Change: change,
		HeirID: *site.ParentID,
		Path:   string(p),
	}
	if err := q.BequeathAliases(ctx, inherited); err != nil {
		return err
	}
	if err := q.DeleteSites(ctx, string(p)); err != nil {
		return err
	}
	return q.StrandSubscriptionsAt(ctx, &store.StrandSubscriptionsAtParams{Path: string(p), Reason: reasonSiteDeleted})
}
