package subscription

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

// In returns the same store in a transaction of the caller's, as [Handle.In] does.
func (s *Store) In(tx pgx.Tx) *Store { return &Store{Handle: *s.Handle.In(tx)} }

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (s *Store) InSQL(tx hierarchy.Querier) *Store { return &Store{Handle: *s.Handle.InSQL(tx)} }

// db runs single statements.
func (h *Handle) db() store.DBTX { return h.scope.DB() }

// run runs fn in the handle's transaction, or in one of its own.
func run[T any](ctx context.Context, h *Handle, action string, fn func(tx pgx.Tx) (T, error)) (T, error) {
	result, err := txn.Run(ctx, h.scope, fn)
	return outcome(action, result, err)
}

// change is run for what returns nothing.
func (h *Handle) change(ctx context.Context, action string, fn func(tx pgx.Tx) error) error {
	_, err := run(ctx, h, action, func(tx pgx.Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
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
