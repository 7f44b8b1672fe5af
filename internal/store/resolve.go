package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// walkIndexes is for a planner that expects the average number of subscriptions
// at every site. Where there are very many, "/" above all, it would read and
// sort all of them for each page; walking the index ends at the page's limit.
const walkIndexes = `SELECT set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true)`

// Batcher sends several statements in one round trip: a pool, or a connection
// that is in no transaction, so that they are one.
type Batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// ResolveInOrder is [Queries.Resolve], planned to walk the index and no more.
func ResolveInOrder(ctx context.Context, db Batcher, schema string, arg *ResolveParams) ([]ResolveRow, error) {
	return New(&walkDB{batcher: db, schema: schema}).Resolve(ctx, arg)
}

// walkDB only queries: the other methods of DBTX are not reached.
type walkDB struct {
	DBTX

	batcher Batcher
	schema  string
}

func (w *walkDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	batch := &pgx.Batch{}
	batch.Queue(walkIndexes)
	batch.Queue(rendered(sql, w.schema), args...)
	results := w.batcher.SendBatch(ctx, batch)
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

type walkRows struct {
	pgx.Rows

	results pgx.BatchResults
}

// Close gives the connection back. What went wrong is in Err: the statements
// only read, so that nothing is left to fail.
func (w *walkRows) Close() {
	w.Rows.Close()
	_ = w.results.Close()
}
