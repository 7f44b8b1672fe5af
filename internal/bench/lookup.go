package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
)

// lookups measures how long it takes to find out who is told, with 100,000
// subscriptions on 10,000 sites, a hundred of them at "/", and with 100 on 10
// sites. Each lookup meets three subscriptions in both: one at the resource's
// site, one at the site above and one at "/". The ratio is the worse of that of
// single lookups and that of a hundred at once, as the engine does them.
func lookups(ctx context.Context, b *bench, r *result) error {
	many := hierarchySize{
		sites:   10_000,
		perSite: 10,
		atRoot:  100,
	}
	if b.size == tiny {
		many = hierarchySize{
			sites:   200,
			perSite: 10,
			atRoot:  20,
		}
	}
	few := hierarchySize{
		sites:   10,
		perSite: 10,
		atRoot:  10,
	}
	worst := 0.0
	resolvers := map[string]*resolverRun{}
	for name, size := range map[string]hierarchySize{"100k": many, "100": few} {
		run, err := newResolverRun(ctx, b, name, size)
		if err != nil {
			return err
		}
		resolvers[name] = run
	}
	defer func() {
		for _, run := range resolvers {
			run.pool.Close()
		}
	}()
	for _, at := range []int{1, 100} {
		times := map[string][]float64{}
		for range of(b.size, 5, 200, 3000) * 2 / (1 + at/50) {
			for name, run := range resolvers {
				took, err := run.once(ctx, at)
				if err != nil {
					return fmt.Errorf("resolve: %w", err)
				}
				times[name] = append(times[name], took)
			}
		}
		for name, all := range times {
			r.figure(fmt.Sprintf("resolve_%s_us_of_%d", name, at), median(all))
		}
		worst = max(worst, median(times["100k"])/median(times["100"]))
	}
	r.ratio("resolve_100k_of_100", worst)
	return nil
}

// hierarchySize is a tree of sites /tX/dY with subscriptions to ten event types.
type hierarchySize struct{ sites, perSite, atRoot int }

// tops is how many sites are directly below "/", of those that are not "/".
func (h hierarchySize) tops() int { return max(h.sites/100, 1) }

// site is the i-th site that is not "/".
func (h hierarchySize) site(i int) hierarchy.Path {
	if i < h.tops() {
		return hierarchy.Path(fmt.Sprintf("/t%d", i))
	}
	return hierarchy.Path(fmt.Sprintf("/t%d/d%d", i%h.tops(), i))
}

type resolverRun struct {
	*hierarchy.Resolver

	pool *pgxpool.Pool
	size hierarchySize
}

func newResolverRun(ctx context.Context, b *bench, name string, size hierarchySize) (*resolverRun, error) {
	w, err := b.newWorld(ctx, "resolve_"+name)
	if err != nil {
		return nil, err
	}
	run := &resolverRun{pool: w.pool, size: size}
	if run.Resolver, err = hierarchy.NewResolver(w.pool, nil); err != nil {
		return nil, err
	}
	var sites, types []string
	for i := range size.atRoot {
		sites, types = append(sites, "/"), append(types, resolveType(i))
	}
	for i := range size.sites - 1 {
		for j := range size.perSite {
			sites, types = append(sites, string(size.site(i))), append(types, resolveType(j))
		}
	}
	_, err = w.pool.Exec(ctx, `
		INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		SELECT riverhook.new_id(), x.site, 'https://example.com/hook', ARRAY[x.type], true, 'standard'
		FROM unnest($1::text[], $2::text[]) AS x (site, type) ORDER BY random()`, sites, types)
	if err != nil {
		return nil, err
	}
	_, err = w.pool.Exec(ctx, "VACUUM ANALYZE riverhook.subscription")
	return run, err
}

func resolveType(i int) string { return fmt.Sprintf("bench.resolve.t%d", i) }

// once returns how many microseconds it took to resolve some lookups at once.
func (r *resolverRun) once(ctx context.Context, n int) (float64, error) {
	asked := make([]hierarchy.Lookup, n)
	for i := range asked {
		below := r.size.tops() + rand.IntN(r.size.sites-1-r.size.tops()) //nolint:gosec // no secret
		asked[i] = hierarchy.Lookup{
			IntentID: uuid.New(),
			Limit:    501,
			Site:     r.size.site(below),
			Type:     resolveType(rand.IntN(r.size.perSite)), //nolint:gosec // no secret
		}
	}
	began := time.Now()
	found, err := r.Resolve(ctx, asked)
	took := microseconds(time.Since(began))
	if err != nil {
		return 0, err
	}
	for i, matches := range found {
		if len(matches) != 3 {
			return 0, fmt.Errorf("%d subscriptions at or above %s, not 3", len(matches), asked[i].Site)
		}
	}
	return took, nil
}
