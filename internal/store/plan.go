package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// customPlans is for statements whose parameters turn filters on and off: with
// the values at hand the planner drops those that are off and finds the index
// of those that are on. A plan for any values could use none.
const customPlans = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)`

// Filtering returns the queries, each planned for the values of its parameters.
// Only those that return many rows may be called.
func Filtering(db Batcher, schema string) *Queries {
	return New(&filterDB{batcher: db, schema: schema})
}

// filterDB only queries: the other methods of DBTX are not reached.
type filterDB struct {
	DBTX

	batcher Batcher
	schema  string
}

func (f *filterDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	batch := &pgx.Batch{}
	batch.Queue(customPlans)
	batch.Queue(rendered(sql, f.schema), args...)
	results := f.batcher.SendBatch(ctx, batch)
	_, err := results.Exec()
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			return &walkRows{Rows: rows, results: results}, nil
		}
	}
	_ = results.Close()
	return nil, err
}
