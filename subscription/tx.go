package subscription

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/migration"
)

// readCommitted is what each statement here is written for, whatever the
// database's default is.
var readCommitted = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

// inTx runs fn in a transaction of its own and commits it if there is no error.
func inTx[T any](ctx context.Context, pool *pgxpool.Pool, action string, fn func(pgx.Tx) (T, error)) (T, error) {
	var result T
	err := pgx.BeginTxFunc(ctx, pool, readCommitted, func(tx pgx.Tx) error {
		var err error
		result, err = fn(tx)
		return err
	})
	return outcome(action, result, err)
}

// inTxOr runs fn in the caller's transaction or, if that is nil, in one of its own.
func inTxOr[T any](ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx, action string, fn func(pgx.Tx) (T, error)) (T, error) {
	if tx == nil {
		return inTx(ctx, pool, action, fn)
	}
	result, err := fn(tx)
	return outcome(action, result, err)
}

// outcome is where an error gets the package's prefix, once.
func outcome[T any](action string, result T, err error) (T, error) {
	if err != nil {
		var none T
		return none, failed(action, err)
	}
	return result, nil
}

func failed(action string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("subscription: %s: %w", action, migration.Explain(err))
}
