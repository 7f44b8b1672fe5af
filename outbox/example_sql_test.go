package outbox_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

// Transactions of libraries built on database/sql are taken as they are: an sqlx.Tx,
// a bun.Tx, GORM's tx.Statement.ConnPool. The programs in example/orm show each.
func ExampleEnqueueSQL() {
	ctx := context.Background()
	pool, remove := examplePool(ctx)
	defer remove()
	db := stdlib.OpenDBFromPool(pool) // or sql.Open, also with lib/pq
	defer db.Close()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "DELETE FROM person WHERE id = $1", "1"); err != nil {
		panic(err)
	}
	_, err = outbox.EnqueueSQL(ctx, tx, outbox.Intent{
		Type:     "person.deleted",
		Site:     "/noaa/nws/oun",
		Resource: access.Resource{Kind: "person", ID: "1"},
		Data:     map[string]string{"id": "1"},
	})
	if err != nil {
		panic(err)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
	fmt.Println(intents(ctx, pool))

	// Output:
	// [person.deleted {"id":"1"}]
}
