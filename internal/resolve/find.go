package resolve

import (
	"context"
	"fmt"
	"slices"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
)

// Found is the answer to a lookup.
type Found struct {
	Matches  []Match
	Place    Place
	Standing Standing
}

// Standing says by which sites a lookup was answered, for whoever acts on the answer
// later: they can have changed meanwhile. See Resolver.Stale.
type Standing struct {
	// Chain stays the same while the sites do. "" if they cannot change.
	Chain string

	// Site, ActiveSite and TreeVersion are what a statement can compute Chain of
	// again; Site is "" if only the tree can.
	Site        access.Path
	ActiveSite  access.Path
	TreeVersion int64

	version string // of a VersionedTree
}

// Find returns what hierarchy.Resolver.Resolve returns, and by which sites each lookup was
// answered. Lookups that ask the same share their matches, which must not be changed.
func (r *Resolver) Find(ctx context.Context, lookups []Lookup) ([]Found, error) {
	found, err := r.find(ctx, lookups)
	return outcome("resolve", found, err)
}

// Stale says whether the tree has changed since a lookup, if it is a hierarchy.VersionedTree of
// the application. hierarchy.Sites are for the statement that acts on the answer to compare, by
// Chain; of other trees nobody can say.
func (r *Resolver) Stale(ctx context.Context, s Standing) (bool, error) {
	if r.cfg.Sites {
		return false, nil
	}
	version, err := sitetree.VersionOf(ctx, r.cfg.Tree, r.cfg.TreeTimeout)
	return s.version != version, failed("compare trees", err)
}

func (r *Resolver) find(ctx context.Context, lookups []Lookup) ([]Found, error) {
	if len(lookups) == 0 {
		return []Found{}, nil
	}
	for _, l := range lookups {
		if err := l.check(); err != nil {
			return nil, fmt.Errorf("intent %s: %w", l.IntentID, err)
		}
	}
	if r.cfg.Sites {
		return r.findAtSites(ctx, lookups)
	}
	var found []Found
	err := sitetree.Steadily(ctx, r.cfg.Tree, r.cfg.TreeTimeout, func(version string) error {
		asked := pathsOf(lookups)
		chains, err := r.chains(ctx, asked)
		if err != nil {
			return err
		}
		q := newQuestions(lookups, r.reaches(lookups, asked, chains))
		rows, err := store.ResolveInOrder(ctx, r.pool, r.cfg.Schema, q.params())
		if err != nil {
			return err
		}
		found = q.answers(rows)
		for i := range found {
			found[i].Standing.version = version
		}
		return nil
	})
	return found, err
}

func (r *Resolver) findAtSites(ctx context.Context, lookups []Lookup) ([]Found, error) {
	asked := pathsOf(lookups)
	var q *questions
	at := func(texts [][]string) (*store.ResolveParams, error) {
		chains, err := sitetree.ChainsOf(texts)
		if err != nil {
			return nil, err
		}
		q = newQuestions(lookups, r.reaches(lookups, asked, chains))
		return q.params(), nil
	}
	rows, err := store.ResolveAtChains(ctx, r.pool, r.cfg.Schema, sitetree.ChainsParams(asked.list), at)
	if err != nil {
		return nil, err
	}
	found := q.answers(rows)
	for i, l := range lookups {
		s := &found[i].Standing
		s.Site, s.TreeVersion = sitetree.NearestValid(sitetree.OrRoot(l.Site)), l.TreeVersion
		if l.ActiveSite != "" {
			s.ActiveSite = sitetree.NearestValid(l.ActiveSite)
		}
	}
	return found, nil
}

// questions are lookups of which the sites are known.
type questions struct {
	lookups []Lookup
	reaches []reach
	first   []int // of those that ask the same
}

func newQuestions(lookups []Lookup, reaches []reach) *questions {
	return &questions{
		lookups: lookups,
		reaches: reaches,
		first:   alike(lookups, reaches),
	}
}

func (q *questions) params() *store.ResolveParams {
	return resolveParams(q.lookups, q.reaches, q.first)
}

func (q *questions) answers(rows []store.ResolveRow) []Found {
	found := make([]Found, len(q.lookups))
	for i := range rows {
		row := &rows[i]
		found[row.Ord].Matches = append(found[row.Ord].Matches, matchOf(row, &q.lookups[row.Ord], &q.reaches[row.Ord]))
	}
	for i, of := range q.first {
		found[i].Matches = slices.Clip(found[of].Matches)
		found[i].Place, found[i].Standing.Chain = q.reaches[i].place, q.reaches[i].token
	}
	return found
}

// outcome is where an error gets the prefix of package hierarchy, once.
func outcome[T any](action string, result T, err error) (T, error) {
	if err != nil {
		var none T
		return none, failed(action, err)
	}
	return result, nil
}

func failed(action string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("hierarchy: %s: %w", action, migration.Explain(err))
}
