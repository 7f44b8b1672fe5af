package resolve

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
)

// Reached is a lookup of which the tree has said the sites.
type Reached struct {
	lookup  Lookup
	sites   reach
	version string // of the tree before it was asked; "" if it has none
}

// Place is where the resource of the lookup is, and where the operation ran.
func (r *Reached) Place() Place { return r.sites.place }

// Reach asks the tree about the sites of lookups: the first half of Find, for a tree of the
// application. An error is one of all of them.
func (r *Resolver) Reach(ctx context.Context, lookups []Lookup) ([]Reached, error) {
	for _, l := range lookups {
		if err := l.check(); err != nil {
			return nil, failed("resolve", fmt.Errorf("intent %s: %w", l.IntentID, err))
		}
	}
	version, err := sitetree.VersionOf(ctx, r.cfg.Tree, r.cfg.TreeTimeout)
	if err != nil {
		return nil, failed("resolve", err)
	}
	asked := pathsOf(lookups)
	chains, err := r.chains(ctx, asked)
	if err != nil {
		return nil, failed("resolve", err)
	}
	reached := make([]Reached, len(lookups))
	for i, sites := range r.reaches(lookups, asked, chains) {
		reached[i] = Reached{
			lookup:  lookups[i],
			sites:   sites,
			version: version,
		}
	}
	return reached, nil
}

// FindReached is the second half of Find: it finds the subscriptions at the sites of lookups, in
// one statement. Whether the tree has changed meanwhile is for the caller to ask: see Stale.
func (r *Resolver) FindReached(ctx context.Context, reached []Reached) ([]Found, error) {
	lookups, reaches := make([]Lookup, len(reached)), make([]reach, len(reached))
	for i := range reached {
		lookups[i], reaches[i] = reached[i].lookup, reached[i].sites
	}
	q := newQuestions(lookups, reaches)
	rows, err := store.ResolveInOrder(ctx, r.pool, r.cfg.Schema, q.params())
	if err != nil {
		return nil, failed("resolve", err)
	}
	found := q.answers(rows)
	for i := range found {
		found[i].Standing.version = reached[i].version
	}
	return found, nil
}
