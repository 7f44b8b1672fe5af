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

// In returns the same store in a transaction of the caller's, until that ends. What its
// methods change is visible to others after the commit, and a rollback undoes it. An error
// of this package's own leaves the transaction usable. A method that asks the Sealer, a tree
// or an authorizer of the application does so while the transaction is open.
//
// Two transactions that create several subscriptions each, for the same owners or at the
// same sites in another order, can deadlock. Under a stricter isolation than READ COMMITTED
// a change that was overtaken by another one fails with SQLSTATE 40001. Run the transaction
// again in both cases.
func (s *Store) In(tx pgx.Tx) *Store {
	in := *s
	in.scope = s.scope.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it. Its session has
// the usual DateStyle (ISO) and bytea_output (hex), which In does not need.
func (s *Store) InSQL(tx hierarchy.Querier) *Store {
	in := *s
	in.scope = s.scope.InSQL(tx)
	return &in
}

// db runs single statements.
func (s *Store) db() store.DBTX { return s.scope.DB() }

// run runs fn in the store's transaction, or in one of its own.
func run[T any](ctx context.Context, s *Store, action string, fn func(tx pgx.Tx) (T, error)) (T, error) {
	result, err := txn.Run(ctx, s.scope, fn)
	return outcome(action, result, err)
}

// change is run for what returns nothing.
func (s *Store) change(ctx context.Context, action string, fn func(tx pgx.Tx) error) error {
	_, err := run(ctx, s, action, func(tx pgx.Tx) (struct{}, error) { return struct{}{}, fn(tx) })
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
