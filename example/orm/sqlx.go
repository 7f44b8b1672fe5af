package orm

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/riverhook/riverhook/outbox"
)

// SQLX creates a user.
func SQLX(ctx context.Context, db *sqlx.DB, name string) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, "INSERT INTO users (name) VALUES ($1)", name); err != nil {
		return err
	}
	if _, err := outbox.EnqueueSQL(ctx, tx, created(name)); err != nil {
		return err
	}
	return tx.Commit()
}
