package decide

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/resolve"
)

// Finder finds the subscriptions that an event matches, and the place of its resource.
// Those who ask at the same time share a statement. It is safe for concurrent use.
type Finder struct {
	resolver *resolve.Resolver
	host     *hostTree // nil: the tree of sites is ours
	lookups  *batch.Group[resolve.Lookup, Found]
	places   *batch.Group[resolve.Lookup, resolve.Place]
}

// NewFinder returns a finder by the resolver of a tree, which works until Close.
func NewFinder(resolver *resolve.Resolver, tree hierarchy.Tree, cfg batch.Config) *Finder {
	smaller := cfg
	smaller.MaxSize = 300
	f := &Finder{
		resolver: resolver,
		lookups: batch.New(smaller, func(ctx context.Context, asked []resolve.Lookup) ([]Found, error) {
			return find(ctx, resolver, asked)
		}),
		places: batch.New(cfg, resolver.Places),
	}
	if isHostTree(tree) {
		f.host = newHostTree(resolver, tree, smaller)
	}
	return f
}

// isHostTree is true of a tree that is not ours.
func isHostTree(tree hierarchy.Tree) bool {
	_, sites := tree.(*hierarchy.Sites)
	return !sites && tree != hierarchy.Paths
}

// Close ends the finder. After that its methods return batch.ErrClosed.
func (f *Finder) Close() {
	f.lookups.Close()
	f.places.Close()
	if f.host != nil {
		f.host.finds.Close()
	}
}

// LookupOf asks about the event of an intent whose transaction saw the sites in a version;
// 0 is the present.
func LookupOf(intentID uuid.UUID, ev *dialect.Event, treeVersion int64) resolve.Lookup {
	return resolve.Lookup{
		IntentID:    intentID,
		Type:        ev.Type,
		Site:        hierarchy.Path(ev.Site),
		ActiveSite:  hierarchy.Path(ev.ActiveSite),
		TreeVersion: treeVersion,
		Channel:     ev.Channel,
	}
}

// Find finds the subscriptions that an event of a share matches.
func (f *Finder) Find(ctx context.Context, by *callbacks.Caller, share string, asked resolve.Lookup) (Found, error) {
	if f.host != nil {
		return f.host.find(ctx, by, share, asked)
	}
	return f.lookups.DoOf(ctx, share, asked)
}

// Locate finds where the resource of an event is now, for a check of access after its
// expansion.
func (f *Finder) Locate(ctx context.Context, by *callbacks.Caller, asked resolve.Lookup) (resolve.Place, error) {
	if f.host != nil {
		return f.host.locate(ctx, by, asked)
	}
	return f.places.Do(ctx, asked)
}

// Stale says whether a tree of the application has another version than standing.
// [hierarchy.Sites] are compared when the expansion is committed.
func (f *Finder) Stale(ctx context.Context, by *callbacks.Caller, standing resolve.Standing) (bool, error) {
	if f.host == nil {
		return false, nil
	}
	return f.host.stale(ctx, by, standing)
}

// PlaceReason is why access is not decided while the tree of sites returns an error.
func PlaceReason(err error) string { return callbacks.ReasonNoSite + callbacks.Brief(err) }

// NoPlace is the cause that waits meanwhile.
func NoPlace() attempt.Cause { return attempt.Cause{Kind: attempt.CauseTree} }
