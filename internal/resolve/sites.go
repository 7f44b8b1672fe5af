package resolve

import (
	"context"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
)

// ReachedSite is a site whose subscriptions may apply to an intent.
type ReachedSite struct {
	Site access.Path
	Why  string // in words: by which way it is reached
}

// Sites returns the sites whose subscriptions may apply to the intent of a lookup, of which
// the site, the active site and the tree version matter: the resource's chain, nearest
// first, then what the active site adds. The Standing says whether they still are the same
// at another time.
func (r *Resolver) Sites(ctx context.Context, l Lookup) ([]ReachedSite, Standing, error) {
	lookups := []Lookup{l}
	asked := pathsOf(lookups)
	chains, err := r.chainsNow(ctx, asked)
	if err != nil {
		return nil, Standing{}, failed("sites", err)
	}
	reach := r.reaches(lookups, asked, chains)[0]
	sites := make([]ReachedSite, 0, len(reach.resource)+len(reach.active))
	for _, paths := range [][]access.Path{reach.resource, reach.active} {
		for _, p := range paths {
			sites = append(sites, ReachedSite{Site: p, Why: reach.why(p)})
		}
	}
	return sites, Standing{Chain: reach.token}, nil
}

// Place is where the resource of an intent is, and where the operation ran, as the sites
// are now: each is the nearest site that the tree knows. ActiveSite is "" if there is none.
type Place struct {
	Site       access.Path
	ActiveSite access.Path
}

// Places are those of lookups, in their order; only their paths and tree versions matter.
// An error is one of all of them: try again later.
func (r *Resolver) Places(ctx context.Context, lookups []Lookup) ([]Place, error) {
	asked := pathsOf(lookups)
	chains, err := r.chainsNow(ctx, asked)
	if err != nil {
		return nil, failed("places", err)
	}
	places := make([]Place, len(lookups))
	for i, reach := range r.reaches(lookups, asked, chains) {
		places[i] = reach.place
	}
	return places, nil
}

// TreeVersion is the version of hierarchy.Sites at present, for a Lookup that is to be made
// later as if it were made now. 0 for any other tree.
func (r *Resolver) TreeVersion(ctx context.Context) (int64, error) {
	if !r.cfg.Sites {
		return 0, nil
	}
	version, err := store.In(r.pool, r.cfg.Schema).TreeVersionSeen(ctx)
	return outcome("find the version", version, err)
}

func (r *Resolver) chainsNow(ctx context.Context, p *paths) ([]sitetree.Chain, error) {
	if r.cfg.Sites {
		return sitetree.Chains(ctx, store.In(r.pool, r.cfg.Schema), p.list)
	}
	return r.chains(ctx, p)
}
