// Package txn says where a store works: in a transaction of the caller's, or in one of its
// own for each call.
package txn

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

// Scope is a pool, or a transaction of the caller's.
type Scope struct {
	pool *pgxpool.Pool
	tx   pgx.Tx
}

// Of is the scope of a pool.
func Of(pool *pgxpool.Pool) Scope { return Scope{pool: pool} }

// In is the scope of a transaction. Each use of a nil transaction is an error.
func (s Scope) In(tx pgx.Tx) Scope {
	if isNil(tx) {
		tx = refusal{err: errNilTx}
	}
	s.tx = tx
	return s
}

// InSQL is In for a transaction of database/sql. Each use of a pool of database/sql, and of
// nil, is an error.
func (s Scope) InSQL(tx Querier) Scope {
	if err := CheckQuerier(tx); err != nil {
		s.tx = refusal{err: err}
		return s
	}
	s.tx = newSQLTx(tx)
	return s
}

// IsTx says that the scope is a transaction of the caller's.
func (s Scope) IsTx() bool { return s.tx != nil }

// DB runs single statements.
func (s Scope) DB() store.DBTX {
	if s.tx != nil {
		return s.tx
	}
	return s.pool
}

// Pool is the pool from which the scope of the store was made.
func (s Scope) Pool() *pgxpool.Pool { return s.pool }

// Tries is how often a store may repeat a change that was overtaken by another one: up to
// most times, but once in a transaction of the caller's.
func (s Scope) Tries(most int) int {
	if s.tx != nil {
		return 1
	}
	return most
}

// Run calls fn in the caller's transaction, or in one of READ COMMITTED that it commits if
// there is no error.
func Run[T any](ctx context.Context, s Scope, fn func(tx pgx.Tx) (T, error)) (T, error) {
	if s.tx != nil {
		return fn(s.tx)
	}
	var result T
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		var err error
		result, err = fn(tx)
		return err
	})
	return result, err
}

var errNilTx = errors.New("the transaction is nil")

// refusal is a transaction that cannot be used.
type refusal struct {
	pgx.Tx

	err error
}

func (r refusal) Begin(context.Context) (pgx.Tx, error) { return nil, r.err }

func (r refusal) Conn() *pgx.Conn { return nil }

func (r refusal) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, r.err
}

func (r refusal) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, r.err }

func (r refusal) QueryRow(context.Context, string, ...any) pgx.Row { return refusedRow(r) }

type refusedRow refusal

func (r refusedRow) Scan(...any) error { return r.err }
