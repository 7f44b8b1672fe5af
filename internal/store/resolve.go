package store

import "context"

// walkIndexes is for a planner that expects the average number of subscriptions
// at every site. Where there are very many, "/" above all, it would read and
// sort all of them for each page; walking the index ends at the page's limit.
// With that settled the plan is the same for all lookups, and is kept.
const walkIndexes = `SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)`

// ResolveInOrder is [Queries.Resolve], planned to walk the index and no more.
func ResolveInOrder(ctx context.Context, db Batcher, schema string, arg *ResolveParams) ([]ResolveRow, error) {
	return New(&plannedDB{batcher: db, schema: schema, settings: walkIndexes}).Resolve(ctx, arg)
}
