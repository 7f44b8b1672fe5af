package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// customPlans is for statements whose parameters turn filters on and off: with
// the values at hand the planner drops those that are off and finds the index
// of those that are on. A plan for any values could use none.
const customPlans = outputs + `,
	set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)`

// keptPlans is for statements that are run all the time and find each row by its
// key: one plan for all sizes of a batch, made once a connection. Left to
// itself Postgres plans them anew each time, which for one event takes longer than
// to run them, and believes that a table which it has not analyzed yet is
// best read as a whole.
const keptPlans = bounds + `,
	set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// Batcher sends several statements in one round trip: a pool, or a connection
// that is in no transaction, so that they are one.
type Batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Filtering returns the queries, each planned for the values of its parameters.
// Only those that return many rows may be called.
func Filtering(db Batcher, schema string) *Queries {
	return New(&plannedDB{
		batcher: db,
		schema:  schema,
		before:  []string{customPlans},
	})
}

// Frequent returns the queries, with one plan for all of their runs and with the bounds
// of [BoundedTx]. Only those that return many rows may be called.
func Frequent(db Batcher, schema string) *Queries {
	return New(frequentDB(db, schema))
}

// InFrequentTx is [InTx] with the plans of [Frequent].
func InFrequentTx(ctx context.Context, pool *pgxpool.Pool, schema string, f func(q *Queries) error) error {
	options := pgx.TxOptions{BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; " + keptPlans}
	return pgx.BeginTxFunc(ctx, pool, options, func(tx pgx.Tx) error { return f(In(tx, schema)) })
}

func frequentDB(db Batcher, schema string) *plannedDB {
	return &plannedDB{
		batcher: db,
		schema:  schema,
		before:  []string{keptPlans},
	}
}

// plannedDB runs each statement in one round trip with what goes before and after it,
// such as settings for the planner, which end with its transaction. On a pool it is of
// READ COMMITTED, whatever the default of the session is.
type plannedDB struct {
	batcher Batcher
	schema  string
	before  []string
	after   []string
}

func (p *plannedDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if pool, ok := p.batcher.(*pgxpool.Pool); ok && IsPeculiar(ctx, pool) {
		return p.queryBegun(ctx, pool, sql, args...)
	}
	batch := &pgx.Batch{}
	for _, statement := range p.before {
		batch.Queue(statement)
	}
	batch.Queue(rendered(sql, p.schema), args...)
	for _, statement := range p.after {
		batch.Queue(statement)
	}
	results := p.batcher.SendBatch(ctx, batch)
	var err error
	for range p.before {
		if _, err = results.Exec(); err != nil {
			break
		}
	}
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			return &plannedRows{Rows: rows, results: results}, nil
		}
	}
	_ = results.Close()
	return nil, err
}

// Exec is Query for statements without rows.
func (p *plannedDB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	rows, err := p.Query(ctx, sql, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	for rows.Next() {
		continue
	}
	return rows.CommandTag(), rows.Err()
}

// QueryRow is Query for a single row.
func (p *plannedDB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := p.Query(ctx, sql, args...)
	return plannedRow{rows: rows, err: err}
}

type plannedRow struct {
	rows pgx.Rows
	err  error
}

func (r plannedRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

type plannedRows struct {
	pgx.Rows

	results pgx.BatchResults
	err     error // of the commit
}

// Next ends the transaction behind the last row, so that Err tells whether it
// was committed.
func (p *plannedRows) Next() bool {
	if p.Rows.Next() {
		return true
	}
	p.Close()
	return false
}

func (p *plannedRows) Err() error {
	if err := p.Rows.Err(); err != nil {
		return err
	}
	return p.err
}

// Close gives the connection back.
func (p *plannedRows) Close() {
	p.Rows.Close()
	if err := p.results.Close(); p.err == nil {
		p.err = err
	}
}
