package hierarchy

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// Move puts a site, with all that is below it, below another one and returns it
// with its new path. Subscriptions move along; former paths stay as aliases, and
// those of others at the new path end as by Create.
// Errors: [ErrNotFound], [ErrRootSite], [ErrSiteCycle], [ErrSiteExists] when the
// new parent has a child of that name, [ErrInvalidPath] when a path below would
// become too long.
func (s *Sites) Move(ctx context.Context, p, newParent Path) (*Site, error) {
	return s.run(ctx, "move site", func(tx pgx.Tx) (*Site, error) { return s.move(ctx, tx, p, newParent, lastSegment(p)) })
}

// Rename gives a site another last segment, in all else like Move.
func (s *Sites) Rename(ctx context.Context, p Path, newSegment string) (*Site, error) {
	return s.run(ctx, "rename site", func(tx pgx.Tx) (*Site, error) { return s.move(ctx, tx, p, p.Parent(), newSegment) })
}

func (s *Sites) move(ctx context.Context, tx pgx.Tx, p, newParent Path, segment string) (*Site, error) {
	if p == Root {
		return nil, ErrRootSite
	}
	if err := sitetree.CheckSegment(segment); err != nil {
		return nil, fmt.Errorf("%w: segment %s: %w", ErrInvalidPath, text.Quote(segment), err)
	}
	q, err := s.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	site, err := s.find(ctx, q, p)
	if err != nil {
		return nil, err
	}
	parent, err := s.find(ctx, q, newParent)
	if err != nil {
		return nil, fmt.Errorf("new parent: %w", err)
	}
	to := child(newParent, segment)
	switch {
	case to == p:
		return siteOf(*site), nil
	case p.Contains(newParent):
		return nil, fmt.Errorf("site %s to %s: %w", text.Quote(string(p)), text.Quote(string(to)), ErrSiteCycle)
	}
	if err := s.checkFree(ctx, q, to); err != nil {
		return nil, err
	}
	if err := s.checkFits(ctx, q, p, to); err != nil {
		return nil, err
	}
	change, err := q.NextSiteChange(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.MakeWay(ctx, &store.MakeWayParams{Heir: parent.Path, Path: string(to)}); err != nil {
		return nil, err
	}
	moved := &store.MoveSitesParams{
		Change:   change,
		NewPath:  string(to),
		ParentID: parent.ID,
		Path:     string(p),
	}
	if err := q.MoveSites(ctx, moved); err != nil {
		return nil, err
	}
	if err := q.EndAliases(ctx, &store.EndAliasesParams{Change: change, Path: string(to)}); err != nil {
		return nil, err
	}
	if err := q.MoveSubscriptions(ctx, &store.MoveSubscriptionsParams{NewPath: string(to), Path: string(p)}); err != nil {
		return nil, err
	}
	site.Path = string(to)
	return siteOf(*site), nil
}

// checkFits refuses a move after which a path would not be one.
func (s *Sites) checkFits(ctx context.Context, q *store.Queries, from, to Path) error {
	extent, err := q.SubtreeExtent(ctx, string(from))
	if err != nil {
		return err
	}
	bytes := extent.Bytes + len(to) - len(from)
	segments := extent.Segments + strings.Count(string(to), "/") - strings.Count(string(from), "/")
	if bytes > sitetree.MaxPathBytes || segments > sitetree.MaxPathSegments {
		return fmt.Errorf("%w: below %s a path would have %d bytes and %d segments; at most %d and %d are allowed",
			ErrInvalidPath, text.Quote(string(to)), bytes, segments, sitetree.MaxPathBytes, sitetree.MaxPathSegments)
	}
	return nil
}
