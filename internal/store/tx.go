package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// InTx runs f in a transaction of its own with the options of [BoundedTx], and commits
// it unless f returns an error, which InTx then returns.
func InTx(ctx context.Context, pool *pgxpool.Pool, schema string, f func(q *Queries) error) error {
	return pgx.BeginTxFunc(ctx, pool, BoundedTx(), func(tx pgx.Tx) error { return f(In(tx, schema)) })
}
