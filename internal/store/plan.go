package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// customPlans is for statements whose parameters turn filters on and off: with
// the values at hand the planner drops those that are off and finds the index
// of those that are on. A plan for any values could use none.
const customPlans = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)`

// Batcher sends several statements in one round trip: a pool, or a connection
// that is in no transaction, so that they are one.
type Batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Filtering returns the queries, each planned for the values of its parameters.
// Only those that return many rows may be called.
func Filtering(db Batcher, schema string) *Queries {
	return New(&plannedDB{batcher: db, schema: schema, settings: customPlans})
}

// plannedDB runs each query in one round trip with settings for the planner,
// which end with it. It only queries: the other methods of DBTX are not reached.
type plannedDB struct {
	DBTX

	batcher  Batcher
	schema   string
	settings string
}

func (p *plannedDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	batch := &pgx.Batch{}
	batch.Queue(p.settings)
	batch.Queue(rendered(sql, p.schema), args...)
	results := p.batcher.SendBatch(ctx, batch)
	_, err := results.Exec()
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			return &plannedRows{Rows: rows, results: results}, nil
		}
	}
	_ = results.Close()
	return nil, err
}

type plannedRows struct {
	pgx.Rows

	results pgx.BatchResults
}

// Close gives the connection back. What went wrong is in Err: the statements
// only read, so that nothing is left to fail.
func (p *plannedRows) Close() {
	p.Rows.Close()
	_ = p.results.Close()
}
