package decide

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/sitetree"
)

// hostTree asks the tree of an application about the sites of each lookup, before the lookup
// joins those of others: a tree that hangs for a path delays those who asked about it. One
// that answers for many paths at once is asked about those of a share together. It is safe
// for concurrent use.
type hostTree struct {
	resolver  *resolve.Resolver
	versioned bool
	finds     *batch.Group[resolve.Reached, Found]

	together bool
	mu       sync.Mutex
	shares   map[string]*shareAsks
}

// shareAsks are the lookups of a share, which are asked about together.
type shareAsks struct {
	group *batch.Group[resolve.Lookup, resolve.Reached]
	users int // guarded by hostTree.mu
}

func newHostTree(resolver *resolve.Resolver, tree hierarchy.Tree, cfg batch.Config) *hostTree {
	_, versioned := tree.(hierarchy.VersionedTree)
	_, together := tree.(hierarchy.BatchTree)
	return &hostTree{
		resolver:  resolver,
		versioned: versioned,
		finds: batch.New(cfg, func(ctx context.Context, reached []resolve.Reached) ([]Found, error) {
			answers, err := resolver.FindReached(ctx, reached)
			if err != nil {
				return nil, err
			}
			return foundOf(answers)
		}),
		together: together,
		shares:   map[string]*shareAsks{},
	}
}

// find finds the subscriptions of a lookup: by the sites of one moment, if the tree has
// versions.
func (h *hostTree) find(ctx context.Context, by *callbacks.Caller, share string, asked resolve.Lookup) (Found, error) {
	for range sitetree.MaxLooks {
		reached, err := h.reach(ctx, by, asked)
		if err != nil {
			return Found{}, err
		}
		found, err := h.finds.DoOf(ctx, share, reached)
		if err != nil || !h.versioned {
			return found, err
		}
		if stale, err := h.stale(ctx, by, found.Standing); err != nil || !stale {
			return found, err
		}
	}
	return Found{}, hierarchy.ErrTreeChanges
}

func (h *hostTree) locate(ctx context.Context, by *callbacks.Caller, asked resolve.Lookup) (resolve.Place, error) {
	reached, err := h.reach(ctx, by, asked)
	return reached.Place(), err
}

func (h *hostTree) stale(ctx context.Context, by *callbacks.Caller, standing resolve.Standing) (stale bool, err error) {
	refused := by.Call(ctx, callbacks.StepTree, func() { stale, err = h.resolver.Stale(ctx, standing) })
	return stale, cmp.Or(refused, err)
}

// reach asks the tree. A suspect asks alone.
func (h *hostTree) reach(ctx context.Context, by *callbacks.Caller, asked resolve.Lookup) (reached resolve.Reached, err error) {
	refused := by.Call(ctx, callbacks.StepTree, func() {
		if h.together && !by.Alone() {
			reached, err = h.reachTogether(ctx, asked)
		} else {
			reached, err = h.reachAlone(ctx, asked)
		}
	})
	return reached, cmp.Or(refused, err)
}

func (h *hostTree) reachAlone(ctx context.Context, asked resolve.Lookup) (resolve.Reached, error) {
	reached, err := h.resolver.Reach(ctx, []resolve.Lookup{asked})
	if err != nil {
		return resolve.Reached{}, err
	}
	return reached[0], nil
}

// reachTogether asks with the others of the share. If there is no answer in time, each asks
// alone: only one of them may be what the tree hangs at.
func (h *hostTree) reachTogether(ctx context.Context, asked resolve.Lookup) (resolve.Reached, error) {
	share := sitetree.FirstSegment(string(asked.Site))
	reached, err := h.enter(share).group.Do(ctx, asked)
	h.leave(share)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return h.reachAlone(ctx, asked)
	}
	return reached, err
}

func (h *hostTree) enter(share string) *shareAsks {
	h.mu.Lock()
	defer h.mu.Unlock()
	asks := h.shares[share]
	if asks == nil {
		asks = &shareAsks{group: batch.New(batch.Config{
			Whole: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
		}, h.resolver.Reach)}
		h.shares[share] = asks
	}
	asks.users++
	return asks
}

func (h *hostTree) leave(share string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	asks := h.shares[share]
	asks.users--
	if asks.users == 0 {
		delete(h.shares, share)
	}
}
