package hierarchy

import "context"

// ReachedSite is a site whose subscriptions may apply to an intent.
type ReachedSite struct {
	Site Path
	Why  string // in words: by which way it is reached
}

// Sites returns the sites whose subscriptions may apply to an intent of which the
// resource lives at site and the operation ran at activeSite ("" is none): the
// resource's chain, nearest first, then what the active site adds. The tree is
// asked as it is now.
func (r *Resolver) Sites(ctx context.Context, site, activeSite Path) ([]ReachedSite, error) {
	reaches, err := r.reaches(ctx, []Lookup{{Site: site, ActiveSite: activeSite}})
	if err != nil {
		return nil, failed("sites", err)
	}
	reach := reaches[0]
	sites := make([]ReachedSite, 0, len(reach.resource)+len(reach.active))
	for _, paths := range [][]Path{reach.resource, reach.active} {
		for _, p := range paths {
			sites = append(sites, ReachedSite{Site: p, Why: reach.why(p)})
		}
	}
	return sites, nil
}
