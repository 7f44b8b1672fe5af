package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// SiteListOpts narrows a listing of sites.
type SiteListOpts struct {
	// After is the last path of the page before. Default: from the start.
	After Path

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// Parent is the site whose children are listed. Default: at any depth.
	Parent Path

	// Under is the site that is listed with all that is below it; it cannot be
	// given together with Parent. Default: "/".
	Under Path
}

func (o SiteListOpts) withDefaults() SiteListOpts {
	if o.Limit == 0 {
		o.Limit = defaultListLimit
	}
	if o.Parent == "" {
		o.Under = o.Under.orRoot()
	}
	return o
}

func (o SiteListOpts) validate() error {
	if o.Parent != "" && o.Under != "" {
		return errors.New("Under: cannot be given together with Parent")
	}
	if o.Parent != "" {
		if _, err := ParsePath(string(o.Parent)); err != nil {
			return fmt.Errorf("Parent: %w", err)
		}
	}
	if o.Under != "" {
		if _, err := ParsePath(string(o.Under)); err != nil {
			return fmt.Errorf("Under: %w", err)
		}
	}
	if err := checkText(string(o.After), maxPathBytes); err != nil {
		return fmt.Errorf("After: %w", err)
	}
	return checkLimit(o.Limit)
}

// List returns sites in the order of the bytes of their paths. A page that is
// not full is the last.
func (s *Sites) List(ctx context.Context, opts *SiteListOpts) ([]Site, error) {
	sites, err := s.list(ctx, s.pool, opts)
	return outcome("list sites", sites, err)
}

// ListTx is List in the caller's transaction.
func (s *Sites) ListTx(ctx context.Context, tx pgx.Tx, opts *SiteListOpts) ([]Site, error) {
	sites, err := s.list(ctx, tx, opts)
	return outcome("list sites", sites, err)
}

func (s *Sites) list(ctx context.Context, db store.DBTX, opts *SiteListOpts) ([]Site, error) {
	var o SiteListOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	var rows []store.Site
	var err error
	if o.Parent != "" {
		rows, err = s.in(db).ListSiteChildren(ctx, &store.ListSiteChildrenParams{
			After: string(o.After), MaxRows: o.Limit, Parent: string(o.Parent),
		})
	} else {
		rows, err = s.in(db).ListSites(ctx, &store.ListSitesParams{
			After: string(o.After), MaxRows: o.Limit, Under: string(o.Under),
		})
	}
	sites := make([]Site, len(rows))
	for i, row := range rows {
		sites[i] = *siteOf(row)
	}
	return sites, err
}
