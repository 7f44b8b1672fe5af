package store

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// outputs is how bytes and times must be written for pgx to read them as text, and arrays
// read that it writes, which it does in the modes exec and simple_protocol; until the
// transaction ends.
const outputs = `SELECT set_config('bytea_output', 'hex', true), set_config('DateStyle', 'ISO', true),
	set_config('array_nulls', 'on', true)`

// keepOutputs is outputs in a transaction of the caller, who gets back what was set by
// restoreOutputs.
const (
	keepOutputs = `SELECT set_config('riverhook.outputs', concat_ws('|', current_setting('bytea_output'), current_setting('DateStyle'),
	current_setting('array_nulls')), true),
	set_config('bytea_output', 'hex', true), set_config('DateStyle', 'ISO', true), set_config('array_nulls', 'on', true)`
	restoreOutputs = `SELECT set_config('bytea_output', split_part(current_setting('riverhook.outputs'), '|', 1), true),
	set_config('DateStyle', split_part(current_setting('riverhook.outputs'), '|', 2), true),
	set_config('array_nulls', split_part(current_setting('riverhook.outputs'), '|', 3), true)`
)

// OrdinarySession sets a session for statements that are not ours.
const OrdinarySession = `SET default_transaction_isolation = 'read committed'; SET bytea_output = 'hex'; SET DateStyle = 'ISO';
	SET array_nulls = on`

const (
	beginCommitted = `BEGIN ISOLATION LEVEL READ COMMITTED`
	commit         = `COMMIT`
)

// readsText is true of a connection whose results are text.
func readsText(conn *pgx.Conn) bool {
	return conn != nil && isTextMode(conn.Config().DefaultQueryExecMode)
}

func isTextMode(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// peculiar has the pools whose sessions were looked at.
var peculiar sync.Map // of weak.Pointer[pgxpool.Pool]: bool

// IsPeculiar is true of a pool whose sessions are set to what a statement that is run
// by itself could not work with: an isolation that is stricter than READ COMMITTED, or
// bytes, times and arrays in a form that is not read. It looks once.
func IsPeculiar(ctx context.Context, pool *pgxpool.Pool) bool {
	key := weak.Make(pool)
	if known, ok := peculiar.Load(key); ok {
		return known.(bool) //nolint:forcetypeassert // only these are stored
	}
	var isolation, bytes, dates, nulls string
	err := pool.QueryRow(ctx, `SELECT current_setting('default_transaction_isolation'), current_setting('bytea_output'),
		current_setting('DateStyle'), current_setting('array_nulls')`).Scan(&isolation, &bytes, &dates, &nulls)
	if err != nil {
		return false // so will be the statement's
	}
	is := isolation != string(pgx.ReadCommitted) ||
		isTextMode(pool.Config().ConnConfig.DefaultQueryExecMode) && (bytes != "hex" || !strings.HasPrefix(dates, "ISO") || nulls != "on")
	if _, known := peculiar.LoadOrStore(key, is); !known {
		runtime.AddCleanup(pool, func(key weak.Pointer[pgxpool.Pool]) { peculiar.Delete(key) }, key)
	}
	return is
}

// poolDB runs each statement by itself.
type poolDB struct {
	schemaDB

	pool *pgxpool.Pool
}

func (p *poolDB) begun() *plannedDB {
	return &plannedDB{
		batcher: p.pool,
		schema:  p.schema,
		before:  []string{outputs},
	}
}

func (p *poolDB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if IsPeculiar(ctx, p.pool) {
		return p.begun().Exec(ctx, sql, args...)
	}
	return p.schemaDB.Exec(ctx, sql, args...)
}

func (p *poolDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if IsPeculiar(ctx, p.pool) {
		return p.begun().Query(ctx, sql, args...)
	}
	return p.schemaDB.Query(ctx, sql, args...)
}

func (p *poolDB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if IsPeculiar(ctx, p.pool) {
		return p.begun().QueryRow(ctx, sql, args...)
	}
	return p.schemaDB.QueryRow(ctx, sql, args...)
}

// queryBegun is Query in a transaction of its own that says what it is.
func (p *plannedDB) queryBegun(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) (pgx.Rows, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	begun := &plannedDB{
		batcher: conn,
		schema:  p.schema,
		before:  append([]string{beginCommitted}, p.before...),
		after:   append(slices.Clip(p.after), commit),
	}
	rows, err := begun.Query(ctx, sql, args...)
	if err != nil {
		giveBack(ctx, conn)
		return nil, err
	}
	return &begunRows{Rows: rows, back: sync.OnceFunc(func() { giveBack(ctx, conn) })}, nil
}

// giveBack ends the transaction where something has failed in it.
func giveBack(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().PgConn().TxStatus() != 'I' && !conn.Conn().IsClosed() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "ROLLBACK") // Release closes what it does not help
	}
	conn.Release()
}

type begunRows struct {
	pgx.Rows

	back func()
}

func (r *begunRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *begunRows) Close() {
	r.Rows.Close()
	r.back()
}
