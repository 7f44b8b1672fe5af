package hierarchy

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

var (
	_ BatchTree     = (*Sites)(nil)
	_ VersionedTree = (*Sites)(nil)
)

// Ancestors implements [Tree], as the sites are now. Aliases that have not ended are
// followed. A path that is neither a site nor such an alias has the ancestors of the
// nearest path above it that is.
func (s *Sites) Ancestors(ctx context.Context, p Path) ([]Path, error) {
	chains, err := s.ancestors(ctx, s.pool, []Path{p})
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	return chains[0], nil
}

// AncestorsMany implements [BatchTree] by one statement.
func (s *Sites) AncestorsMany(ctx context.Context, paths []Path) ([][]Path, error) {
	chains, err := s.ancestors(ctx, s.pool, paths)
	return outcome("find ancestors", chains, err)
}

// AncestorsTx is Ancestors as the caller's transaction sees the sites. It keeps them
// where they are until the transaction ends: what is created at one of them is created
// at that site, and not at another one that has got its path meanwhile.
func (s *Sites) AncestorsTx(ctx context.Context, tx pgx.Tx, p Path) ([]Path, error) {
	if err := s.in(tx).ShareSites(ctx); err != nil {
		return nil, failed("find ancestors", err)
	}
	chains, err := s.ancestors(ctx, tx, []Path{p})
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	return chains[0], nil
}

// Version implements [VersionedTree], for trees that are made of a Sites: a [Resolver]
// reads a Sites itself in one snapshot with the subscriptions.
func (s *Sites) Version(ctx context.Context) (string, error) {
	version, err := s.in(s.pool).TreeVersion(ctx)
	return outcome("find the version", strconv.FormatInt(version, 10), err)
}

func (s *Sites) ancestors(ctx context.Context, db store.DBTX, paths []Path) ([][]Path, error) {
	list := make([]askedPath, len(paths))
	for i, p := range paths {
		list[i].path = p
	}
	found, err := siteChains(ctx, s.in(db), list)
	chains := make([][]Path, len(found))
	for i, c := range found {
		chains[i] = c.sites
	}
	return chains, err
}

func siteChains(ctx context.Context, q *store.Queries, list []askedPath) ([]chain, error) {
	texts, err := q.SiteChains(ctx, chainsParams(list))
	if err != nil {
		return nil, err
	}
	return chainsOf(texts)
}

func chainsParams(list []askedPath) *store.SiteChainsParams {
	p := &store.SiteChainsParams{
		Ords:         []int{},
		Paths:        []string{},
		TreeVersions: []int64{},
	}
	for i, a := range list {
		p.Ords = append(p.Ords, i)
		p.Paths = append(p.Paths, string(nearestValid(a.path)))
		p.TreeVersions = append(p.TreeVersions, a.treeVersion)
	}
	return p
}

// nearestValid is the path, or the nearest above it that could be that of a site.
func nearestValid(p Path) Path {
	for _, a := range p.Ancestors() {
		if checkPath(string(a)) == nil {
			return a
		}
	}
	return Root
}

var errNoRoot = errors.New(`there is no site "/"`)

func chainsOf(texts [][]string) ([]chain, error) {
	chains := make([]chain, len(texts))
	for i, text := range texts {
		if len(text) < 2 {
			return nil, errNoRoot
		}
		chains[i].token = text[0]
		for _, site := range text[1:] {
			chains[i].sites = append(chains[i].sites, Path(site))
		}
	}
	return chains, nil
}
