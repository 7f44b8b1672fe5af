package hierarchy

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// SiteListOpts narrows a listing of sites.
type SiteListOpts struct {
	// Cursor is the Next of the page before. Default: from the start.
	Cursor string

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// Parent is the site whose children are listed. Default: at any depth.
	Parent Path

	// Under is the site that is listed with all that is below it; it cannot be
	// given together with Parent. Default: "/".
	Under Path
}

// SitePage is a page of a list of sites.
type SitePage struct {
	Sites []Site `json:"sites"`

	// Next is the Cursor of the page that follows; "": this one is the last.
	Next string `json:"next,omitempty"`
}

func (o SiteListOpts) withDefaults() SiteListOpts {
	if o.Limit == 0 {
		o.Limit = cursor.DefaultLimit
	}
	if o.Parent == "" {
		o.Under = sitetree.OrRoot(o.Under)
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
	return cursor.CheckLimit(o.Limit)
}

// List returns a page of sites, in the order of the bytes of their paths.
func (s *Sites) List(ctx context.Context, opts *SiteListOpts) (*SitePage, error) {
	page, err := s.list(ctx, s.db(), opts)
	return outcome("list sites", page, err)
}

func (s *Sites) list(ctx context.Context, db store.DBTX, opts *SiteListOpts) (*SitePage, error) {
	var o SiteListOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	after, err := cursor.Sites.Text(o.Cursor)
	if err == nil {
		err = text.Check(after, sitetree.MaxPathBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("Cursor: %w", err)
	}
	var rows []store.Site
	if o.Parent != "" {
		rows, err = s.in(db).ListSiteChildren(ctx, &store.ListSiteChildrenParams{
			After:   after,
			MaxRows: o.Limit + 1,
			Parent:  string(o.Parent),
		})
	} else {
		rows, err = s.in(db).ListSites(ctx, &store.ListSitesParams{
			After:   after,
			MaxRows: o.Limit + 1,
			Under:   string(o.Under),
		})
	}
	if err != nil {
		return nil, err
	}
	sites := make([]Site, len(rows))
	for i, row := range rows {
		sites[i] = *siteOf(row)
	}
	page := &SitePage{}
	page.Sites, page.Next = cursor.Page(sites, o.Limit, func(last Site) string { return cursor.Sites.OfText(string(last.Path)) })
	return page, nil
}
