package migration

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

// locked runs do while no other process migrates the same schema. It works on
// connections of its own, made as the pool makes them: River's migrator needs
// one beside that of the lock, and the pool may have a single one.
//
// The lock belongs to a transaction that stays open, so that it also holds
// where a pooler gives out connections by transaction.
func locked(ctx context.Context, pool *pgxpool.Pool, schema string, do func(ctx context.Context, own *pgxpool.Pool) error) error {
	cfg := pool.Config()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 2, 0, 0
	own, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer own.Close()

	tx, err := own.Begin(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it holds nothing but the lock, which closing the connection frees

	for _, setting := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := tx.Exec(ctx, "SET LOCAL "+setting+" = 0"); err != nil {
			return fmt.Errorf("prepare lock: %w", err)
		}
	}
	if err := store.In(tx, schema).LockMigrations(ctx, schema); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	return do(ctx, own)
}
