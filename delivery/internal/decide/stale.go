package decide

import (
	"cmp"
	"context"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/resolve"
)

// Stale says whether a tree of the application has another version than standing.
// [hierarchy.Sites] are compared when the expansion is committed.
func (f *Finder) Stale(ctx context.Context, by *callbacks.Caller, standing resolve.Standing) (stale bool, err error) {
	if !f.hostTree {
		return false, nil
	}
	refused := by.Call(ctx, callbacks.StepTree, func() { stale, err = f.resolver.Stale(ctx, standing) })
	return stale, cmp.Or(refused, err)
}
