package orm

import (
	"context"

	"gorm.io/gorm"

	"github.com/riverhook/riverhook/outbox"
)

// GORM creates a user. Within the transaction the ConnPool of a statement is
// the transaction, with and without gorm.Config.PrepareStmt; its interface has
// QueryContext.
func GORM(ctx context.Context, db *gorm.DB, name string) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("INSERT INTO users (name) VALUES (?)", name).Error; err != nil {
			return err
		}
		_, err := outbox.EnqueueSQL(ctx, tx.Statement.ConnPool, created(name))
		return err
	})
}
