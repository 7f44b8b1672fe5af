package hierarchy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// reach is the sites whose subscriptions apply to an intent, nearest first: the
// chain of the resource's site, and behind it what the active site adds.
type reach struct {
	resource []Path
	active   []Path
	place    Place
	token    string // stays the same while the sites do; "" if they cannot change
}

// chain is the sites from one up to "/", nearest first.
type chain struct {
	sites []Path
	token string
}

// tokenOf is the token of sites that the tree of an application has named.
func tokenOf(sites []Path) string {
	texts := make([]string, len(sites))
	for i, p := range sites {
		texts[i] = string(p)
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, " ")))
	return hex.EncodeToString(sum[:16])
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

func (r *reach) why(site Path) string {
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

// askedPath is a path of which the tree is asked, for an intent that has seen it at a
// version.
type askedPath struct {
	path        Path
	treeVersion int64
}

// paths are what a tree is asked of some lookups, each once.
type paths struct {
	index map[askedPath]int
	list  []askedPath
}

func pathsOf(lookups []Lookup) *paths {
	p := &paths{index: make(map[askedPath]int)}
	for _, l := range lookups {
		p.add(askedPath{orRoot(l.Site), l.TreeVersion})
		if l.ActiveSite != "" {
			p.add(askedPath{l.ActiveSite, l.TreeVersion})
		}
	}
	return p
}

func (p *paths) add(a askedPath) {
	if _, known := p.index[a]; !known {
		p.index[a] = len(p.list)
		p.list = append(p.list, a)
	}
}

// reaches is what the chains of the paths make of the lookups.
func (r *Resolver) reaches(lookups []Lookup, p *paths, chains []chain) []reach {
	reaches := make([]reach, len(lookups))
	for i, l := range lookups {
		at := chains[p.index[askedPath{orRoot(l.Site), l.TreeVersion}]]
		reaches[i].resource, reaches[i].token = at.sites, at.token
		reaches[i].place.Site = at.sites[0]
		if l.ActiveSite == "" {
			continue
		}
		at = chains[p.index[askedPath{l.ActiveSite, l.TreeVersion}]]
		reaches[i].token += at.token
		active := at.sites
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
func (r *Resolver) chains(ctx context.Context, p *paths) ([]chain, error) {
	list := make([]Path, len(p.list))
	for i, a := range p.list {
		list[i] = a.path
	}
	found, err := r.ask(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	chains := make([]chain, len(found))
	for i, sites := range found {
		if err := checkChain(sites); err != nil {
			return nil, fmt.Errorf("tree: ancestors of %s: %w: %w", quoted(string(list[i])), errTree, err)
		}
		chains[i].sites = sites
		if !r.ownPaths() {
			chains[i].token = tokenOf(sites)
		}
	}
	return chains, nil
}

func (r *Resolver) ask(ctx context.Context, list []Path) ([][]Path, error) {
	if r.ownPaths() {
		return eachAncestors(ctx, r.cfg.Tree, list)
	}
	return ofTree(ctx, r.cfg.TreeTimeout, func(ctx context.Context) ([][]Path, error) { return askTree(ctx, r.cfg.Tree, list) })
}

// versionOf is that of a tree; "" if it has none.
func versionOf(ctx context.Context, tree Tree, timeout time.Duration) (string, error) {
	versioned, ok := tree.(VersionedTree)
	if !ok {
		return "", nil
	}
	version, err := ofTree(ctx, timeout, versioned.Version)
	if err != nil {
		return "", fmt.Errorf("tree: version: %w", err)
	}
	return version, nil
}

// ownPaths says that the tree is that of the paths themselves, which never changes.
func (r *Resolver) ownPaths() bool {
	_, ok := r.cfg.Tree.(pathTree)
	return ok
}

// ofTree keeps the deadline also if the tree does not look at its context; the
// goroutine of the call may then outlive it.
func ofTree[T any](ctx context.Context, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: fmt.Errorf("%w: it ended its goroutine", errTree)}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("%w: panic: %v", errTree, p)}
			}
			done <- a
		}()
		a.value, a.err = call(ctx)
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("no answer within %s: %w", timeout, ctx.Err())
	}
}

func askTree(ctx context.Context, tree Tree, paths []Path) ([][]Path, error) {
	batch, ok := tree.(BatchTree)
	if !ok {
		return eachAncestors(ctx, tree, paths)
	}
	chains, err := batch.AncestorsMany(ctx, paths)
	if err == nil && len(chains) != len(paths) {
		err = fmt.Errorf("%w: %d answers for %d paths", errTree, len(chains), len(paths))
	}
	return chains, err
}

func eachAncestors(ctx context.Context, tree Tree, paths []Path) ([][]Path, error) {
	chains := make([][]Path, len(paths))
	for i, p := range paths {
		chain, err := tree.Ancestors(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("ancestors of %s: %w", quoted(string(p)), err)
		}
		chains[i] = chain
	}
	return chains, nil
}

func checkChain(chain []Path) error {
	if len(chain) == 0 || chain[len(chain)-1] != Root {
		return fmt.Errorf(`%d sites that do not end with "/"`, len(chain))
	}
	for i, p := range chain {
		if err := checkPath(string(p)); err != nil {
			return fmt.Errorf("%s: %w", quoted(string(p)), err)
		}
		if slices.Contains(chain[:i], p) {
			return fmt.Errorf("%s is there twice", quoted(string(p)))
		}
	}
	return nil
}
