package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// walkIndexes is for a planner that expects the average number of subscriptions
// at every site. Where there are very many, "/" above all, it would read and
// sort all of them for each page; walking the index ends at the page's limit.
// With that settled the plan is the same for all lookups, and is kept.
const walkIndexes = outputs + `,
	set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)`

const (
	beginSnapshot = `BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ`
	endSnapshot   = `COMMIT`
)

// ResolveInOrder is [Queries.Resolve], planned to walk the index and no more.
func ResolveInOrder(ctx context.Context, db Batcher, schema string, arg *ResolveParams) ([]ResolveRow, error) {
	return New(&plannedDB{
		batcher: db,
		schema:  schema,
		before:  []string{walkIndexes},
	}).Resolve(ctx, arg)
}

// ResolveAtChains is ResolveInOrder for what at makes of the chains of sites. Both
// are read in one snapshot, so that no site moves between them, and in one round trip
// each.
func ResolveAtChains(
	ctx context.Context, pool *pgxpool.Pool, schema string, chains *SiteChainsParams, at func(chains [][]string) (*ResolveParams, error),
) ([]ResolveRow, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("acquire a connection: %w", err)
	}
	defer conn.Release() // which closes a connection whose transaction has not ended
	first := &plannedDB{
		batcher: conn,
		schema:  schema,
		before:  []string{beginSnapshot, walkIndexes},
	}
	found, err := New(first).SiteChains(ctx, chains)
	if err != nil {
		return nil, err
	}
	arg, err := at(found)
	if err != nil {
		return nil, err
	}
	return New(&plannedDB{
		batcher: conn,
		schema:  schema,
		after:   []string{endSnapshot},
	}).Resolve(ctx, arg)
}
