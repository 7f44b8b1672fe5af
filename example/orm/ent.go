package orm

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/riverhook/riverhook/outbox"
)

// Ent creates a user by ent's SQL driver. A generated client has the same method
// on its Tx if it was generated with --feature sql/execquery.
func Ent(ctx context.Context, driver *sql.Driver, name string) error {
	begun, err := driver.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer begun.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := begun.Exec(ctx, "INSERT INTO users (name) VALUES ($1)", []any{name}, nil); err != nil {
		return err
	}
	tx := begun.(outbox.Querier) //nolint:forcetypeassert // *sql.Tx of ent has QueryContext
	if _, err := outbox.EnqueueSQL(ctx, tx, created(name)); err != nil {
		return err
	}
	return begun.Commit()
}
