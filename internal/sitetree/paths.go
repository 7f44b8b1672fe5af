package sitetree

import (
	"context"

	"github.com/riverhook/riverhook/access"
)

// Paths is hierarchy.Paths: the tree that the paths themselves form. It never changes.
type Paths struct{}

// Ancestors implements Tree.
func (Paths) Ancestors(_ context.Context, p access.Path) ([]access.Path, error) {
	return p.Ancestors(), nil
}

// AncestorsMany answers for many paths at once.
func (Paths) AncestorsMany(_ context.Context, paths []access.Path) ([][]access.Path, error) {
	chains := make([][]access.Path, len(paths))
	for i, p := range paths {
		chains[i] = p.Ancestors()
	}
	return chains, nil
}
