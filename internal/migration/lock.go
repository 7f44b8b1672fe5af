package migration

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

// lockRetry is the wait before the lock is asked for again.
const lockRetry = 50 * time.Millisecond

// locked runs do while no other process migrates the same schema. It works on
// connections of its own, made as the pool makes them: River's migrator needs
// one beside that of the lock, and the pool may have a single one.
//
// The lock belongs to a transaction that stays open, so that it also holds
// where a pooler gives out connections by transaction. Who does not get it
// asks again and keeps no transaction meanwhile: many that waited in theirs
// would take all connections of a pooler, and leave none for the work of the
// one that they wait for.
func locked(ctx context.Context, pool *pgxpool.Pool, schema string, do func(ctx context.Context, own *pgxpool.Pool) error) error {
	cfg := pool.Config()
	cfg.MaxConns = 2
	cfg.MinConns = 0
	cfg.MinIdleConns = 0
	own, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer own.Close()

	tx, err := lock(ctx, own, schema)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it holds nothing but the lock, which closing the connection frees
	return do(ctx, own)
}

// lock returns the transaction that has the lock.
func lock(ctx context.Context, own *pgxpool.Pool, schema string) (pgx.Tx, error) {
	for {
		tx, err := tryLock(ctx, own, schema)
		if tx != nil || err != nil {
			return tx, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for other migrations: %w", ctx.Err())
		case <-time.After(lockRetry):
		}
	}
}

// tryLock is lock without a wait: nil where another process has the lock.
func tryLock(ctx context.Context, own *pgxpool.Pool, schema string) (pgx.Tx, error) {
	tx, err := own.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	got, err := store.In(tx, schema).TryLockMigrations(ctx, schema)
	if err == nil && got {
		// The transaction rests while the other connection works.
		if _, err = tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err == nil {
			return tx, nil
		}
	}
	rollbackErr := tx.Rollback(context.WithoutCancel(ctx))
	if err == nil {
		err = rollbackErr
	}
	if err != nil {
		return nil, fmt.Errorf("lock out other migrations: %w", err)
	}
	return nil, nil
}
