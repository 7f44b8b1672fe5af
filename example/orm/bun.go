package orm

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/riverhook/riverhook/outbox"
)

// Bun creates a user. The *sql.Tx within the bun.Tx is passed: bun's own
// QueryContext formats arguments into the query by its rules.
func Bun(ctx context.Context, db *bun.DB, name string) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("INSERT INTO users (name) VALUES (?)", name).Exec(ctx); err != nil {
			return err
		}
		_, err := outbox.EnqueueSQL(ctx, tx.Tx, created(name))
		return err
	})
}
