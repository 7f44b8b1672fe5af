package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/sitetree"
)

// reach is the sites whose subscriptions apply to an intent, nearest first: the
// chain of the resource's site, and after it what the active site adds.
type reach struct {
	resource []access.Path
	active   []access.Path
	place    Place
	token    string // stays the same while the sites do; "" if they cannot change
}

// list is what the statement takes: no path holds a space.
func (r *reach) list() string {
	texts := make([]string, 0, len(r.resource)+len(r.active))
	for _, p := range r.resource {
		texts = append(texts, string(p))
	}
	for _, p := range r.active {
		texts = append(texts, string(p))
	}
	return strings.Join(texts, " ")
}

func (r *reach) why(site access.Path) string {
	switch {
	case site == r.resource[0]:
		return fmt.Sprintf("at the resource's site %q", site)
	case slices.Contains(r.resource, site):
		return fmt.Sprintf("at %q, above the resource's site %q", site, r.resource[0])
	case site == r.active[0]:
		return fmt.Sprintf("at the active site %q", site)
	default:
		return fmt.Sprintf("at %q, above the active site %q", site, r.active[0])
	}
}

// paths are what a tree is asked of some lookups, each once.
type paths struct {
	index map[sitetree.Asked]int
	list  []sitetree.Asked
}

func pathsOf(lookups []Lookup) *paths {
	p := &paths{index: make(map[sitetree.Asked]int)}
	for _, l := range lookups {
		p.add(sitetree.Asked{Path: sitetree.OrRoot(l.Site), TreeVersion: l.TreeVersion})
		if l.ActiveSite != "" {
			p.add(sitetree.Asked{Path: l.ActiveSite, TreeVersion: l.TreeVersion})
		}
	}
	return p
}

func (p *paths) add(a sitetree.Asked) {
	if _, known := p.index[a]; !known {
		p.index[a] = len(p.list)
		p.list = append(p.list, a)
	}
}

// reaches is what the chains of the paths make of the lookups.
func (r *Resolver) reaches(lookups []Lookup, p *paths, chains []sitetree.Chain) []reach {
	reaches := make([]reach, len(lookups))
	for i, l := range lookups {
		at := chains[p.index[sitetree.Asked{Path: sitetree.OrRoot(l.Site), TreeVersion: l.TreeVersion}]]
		reaches[i].resource, reaches[i].token = at.Sites, at.Token
		reaches[i].place.Site = at.Sites[0]
		if l.ActiveSite == "" {
			continue
		}
		at = chains[p.index[sitetree.Asked{Path: l.ActiveSite, TreeVersion: l.TreeVersion}]]
		reaches[i].token += at.Token
		active := at.Sites
		reaches[i].place.ActiveSite = active[0]
		if !r.cfg.ActiveChain {
			active = active[:1]
		}
		for _, site := range active {
			if !slices.Contains(reaches[i].resource, site) {
				reaches[i].active = append(reaches[i].active, site)
			}
		}
	}
	return reaches
}

// chains calls the tree, which may be the application's: it gets a deadline, a
// panic is an error, and an answer that would forget somebody is none.
func (r *Resolver) chains(ctx context.Context, p *paths) ([]sitetree.Chain, error) {
	list := make([]access.Path, len(p.list))
	for i, a := range p.list {
		list[i] = a.Path
	}
	found, err := r.ask(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	chains := make([]sitetree.Chain, len(found))
	for i, sites := range found {
		if err := sitetree.CheckAncestors(list[i], sites); err != nil {
			return nil, err
		}
		chains[i].Sites = sites
		if !r.ownPaths() {
			chains[i].Token = sitetree.TokenOf(sites)
		}
	}
	return chains, nil
}

func (r *Resolver) ask(ctx context.Context, list []access.Path) ([][]access.Path, error) {
	if r.ownPaths() {
		return sitetree.EachAncestors(ctx, r.cfg.Tree, list)
	}
	return sitetree.Call(ctx, r.cfg.TreeTimeout, func(ctx context.Context) ([][]access.Path, error) {
		return sitetree.AncestorsMany(ctx, r.cfg.Tree, list)
	})
}

// ownPaths says that the tree is that of the paths themselves, which never changes.
func (r *Resolver) ownPaths() bool {
	_, ok := r.cfg.Tree.(sitetree.Paths)
	return ok
}
