package outbox_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

// What is built on database/sql has a *sql.Tx somewhere: GORM's
// tx.Statement.ConnPool.(*sql.Tx), the Tx embedded in an sqlx.Tx or a bun.Tx.
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
