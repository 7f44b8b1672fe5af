package hierarchy

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// reach is the sites whose subscriptions apply to an intent, nearest first: the
// chain of the resource's site, and behind it what the active site adds.
type reach struct {
	resource []Path
	active   []Path
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

// reaches asks the tree once for every path of the lookups.
func (r *Resolver) reaches(ctx context.Context, lookups []Lookup) ([]reach, error) {
	index := make(map[Path]int)
	var paths []Path
	want := func(p Path) {
		if _, known := index[p]; !known {
			index[p] = len(paths)
			paths = append(paths, p)
		}
	}
	for _, l := range lookups {
		want(l.Site.orRoot())
		if l.ActiveSite != "" {
			want(l.ActiveSite)
		}
	}
	chains, err := r.chains(ctx, paths)
	if err != nil {
		return nil, err
	}
	reaches := make([]reach, len(lookups))
	for i, l := range lookups {
		reaches[i].resource = chains[index[l.Site.orRoot()]]
		if l.ActiveSite == "" {
			continue
		}
		active := chains[index[l.ActiveSite]]
		if !r.cfg.ActiveChain {
			active = active[:1]
		}
		for _, p := range active {
			if !slices.Contains(reaches[i].resource, p) {
				reaches[i].active = append(reaches[i].active, p)
			}
		}
	}
	return reaches, nil
}

// chains calls the tree, which may be the application's: it gets a deadline, a
// panic is an error, and an answer that would forget somebody is none.
func (r *Resolver) chains(ctx context.Context, paths []Path) ([][]Path, error) {
	chains, err := r.ask(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	for i, chain := range chains {
		if err := checkChain(chain); err != nil {
			return nil, fmt.Errorf("tree: ancestors of %s: %w: %w", quoted(string(paths[i])), errTree, err)
		}
	}
	return chains, nil
}

// ask keeps the deadline also where the tree does not look at its context; the
// goroutine of the call may then outlive it.
func (r *Resolver) ask(ctx context.Context, paths []Path) ([][]Path, error) {
	if _, ours := r.cfg.Tree.(pathTree); ours {
		return eachAncestors(ctx, r.cfg.Tree, paths)
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.TreeTimeout)
	defer cancel()
	type answer struct {
		chains [][]Path
		err    error
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
		a.chains, a.err = askTree(ctx, r.cfg.Tree, paths)
	}()
	select {
	case a := <-done:
		return a.chains, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s: %w", r.cfg.TreeTimeout, ctx.Err())
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
