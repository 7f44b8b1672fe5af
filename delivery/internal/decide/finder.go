package decide

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/resolve"
)

// Finder finds the subscriptions that an event matches, and the place of its resource. It
// is safe for concurrent use.
type Finder struct {
	resolver *resolve.Resolver
	hostTree bool // the tree of sites is host code
	lookups  question[Found]
	places   question[resolve.Place]
}

// NewFinder returns a finder by the resolver of a tree, which works until Close.
func NewFinder(resolver *resolve.Resolver, tree hierarchy.Tree, cfg batch.Config) *Finder {
	smaller := cfg
	smaller.MaxSize = 300
	return &Finder{
		resolver: resolver,
		hostTree: isHostTree(tree),
		lookups: newQuestion(smaller, func(ctx context.Context, asked []resolve.Lookup) ([]Found, error) {
			return find(ctx, resolver, asked)
		}),
		places: newQuestion(cfg, resolver.Places),
	}
}

// isHostTree is true of a tree that is not ours.
func isHostTree(tree hierarchy.Tree) bool {
	_, sites := tree.(*hierarchy.Sites)
	return !sites && tree != hierarchy.Paths
}

// Close ends the finder. After that its methods return batch.ErrClosed.
func (f *Finder) Close() {
	f.lookups.group.Close()
	f.places.group.Close()
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

// Find finds the subscriptions that an event matches.
func (f *Finder) Find(ctx context.Context, by *callbacks.Caller, asked resolve.Lookup) (Found, error) {
	return f.lookups.ask(ctx, f.hostTree, by, asked)
}

// Locate finds where the resource of an event is now, for a check of access after its
// expansion.
func (f *Finder) Locate(ctx context.Context, by *callbacks.Caller, asked resolve.Lookup) (resolve.Place, error) {
	return f.places.ask(ctx, f.hostTree, by, asked)
}

// PlaceReason is why access is not decided while the tree of sites returns an error.
func PlaceReason(err error) string { return callbacks.ReasonNoSite + callbacks.Brief(err) }

// question is what the resolver is asked, by those who ask at the same time together.
type question[Answer any] struct {
	alone batch.Flush[resolve.Lookup, Answer]
	group *batch.Group[resolve.Lookup, Answer]
}

func newQuestion[Answer any](cfg batch.Config, flush batch.Flush[resolve.Lookup, Answer]) question[Answer] {
	return question[Answer]{alone: flush, group: batch.New(cfg, flush)}
}

// ask asks together with others. A suspect asks a tree of the application alone.
func (q *question[Answer]) ask(
	ctx context.Context, hostTree bool, by *callbacks.Caller, asked resolve.Lookup,
) (answer Answer, err error) {
	if !hostTree {
		return q.group.Do(ctx, asked)
	}
	refused := by.Call(ctx, callbacks.StepTree, func() {
		if !by.Alone() {
			answer, err = q.group.Do(ctx, asked)
			return
		}
		var answers []Answer
		if answers, err = q.alone(ctx, []resolve.Lookup{asked}); err == nil {
			answer = answers[0]
		}
	})
	return answer, cmp.Or(refused, err)
}
