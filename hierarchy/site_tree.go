package hierarchy

import (
	"context"
	"strconv"

	"github.com/riverhook/riverhook/internal/sitetree"
)

var (
	_ BatchTree     = (*Sites)(nil)
	_ VersionedTree = (*Sites)(nil)
)

// Ancestors implements [Tree], as the sites are now. Aliases that have not ended are
// followed. A path that is neither a site nor such an alias has the ancestors of the
// nearest path above it that is.
func (s *Sites) Ancestors(ctx context.Context, p Path) ([]Path, error) {
	chains, err := s.ancestors(ctx, []Path{p})
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	return chains[0], nil
}

// AncestorsMany implements [BatchTree] by one statement.
func (s *Sites) AncestorsMany(ctx context.Context, paths []Path) ([][]Path, error) {
	chains, err := s.ancestors(ctx, paths)
	return outcome("find ancestors", chains, err)
}

// Version implements [VersionedTree], for trees that are made of a Sites: a [Resolver]
// reads a Sites itself in one snapshot with the subscriptions.
func (s *Sites) Version(ctx context.Context) (string, error) {
	version, err := s.in(s.db()).TreeVersion(ctx)
	return outcome("find the version", strconv.FormatInt(version, 10), err)
}

func (s *Sites) ancestors(ctx context.Context, paths []Path) ([][]Path, error) {
	if s.scope.IsTx() {
		if err := s.in(s.db()).ShareSites(ctx); err != nil {
			return nil, err
		}
	}
	list := make([]sitetree.Asked, len(paths))
	for i, p := range paths {
		list[i].Path = p
	}
	found, err := sitetree.Chains(ctx, s.in(s.db()), list)
	chains := make([][]Path, len(found))
	for i, c := range found {
		chains[i] = c.Sites
	}
	return chains, err
}
