package hierarchy

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

var _ BatchTree = (*Sites)(nil)

// Ancestors implements [Tree]. Aliases are followed. A path that is neither a
// site nor an alias has the ancestors of the nearest path above it that is.
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

// AncestorsTx is Ancestors as the caller's transaction sees the sites.
func (s *Sites) AncestorsTx(ctx context.Context, tx pgx.Tx, p Path) ([]Path, error) {
	chains, err := s.ancestors(ctx, tx, []Path{p})
	if err != nil {
		return nil, failed("find ancestors", err)
	}
	return chains[0], nil
}

func (s *Sites) ancestors(ctx context.Context, db store.DBTX, paths []Path) ([][]Path, error) {
	asked := []string{}
	seen := make(map[Path]bool)
	for _, p := range paths {
		for _, a := range p.Ancestors() {
			if !seen[a] && checkPath(string(a)) == nil { // there is no site of another form
				seen[a] = true
				asked = append(asked, string(a))
			}
		}
	}
	rows, err := s.in(db).ResolveSites(ctx, asked)
	if err != nil {
		return nil, err
	}
	current := make(map[Path]Path, len(rows))
	for _, row := range rows {
		current[Path(row.Asked)] = Path(row.Current)
	}
	chains := make([][]Path, len(paths))
	for i, p := range paths {
		at := Root
		for _, a := range p.Ancestors() {
			if now, known := current[a]; known {
				at = now
				break
			}
		}
		chains[i] = at.Ancestors()
	}
	return chains, nil
}
