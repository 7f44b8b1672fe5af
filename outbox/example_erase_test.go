package outbox_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

// A person asks to be forgotten: what was sent about them goes with them, and
// those who know them are told, with nothing but an id.
func ExampleErase() {
	forget := func(ctx context.Context, pool *pgxpool.Pool, id string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM person WHERE id = $1`, id); err != nil {
				return err
			}
			person := access.Resource{Kind: "person", ID: id}
			erased, err := outbox.Erase(ctx, tx, person)
			if err != nil {
				return err
			}
			fmt.Println(erased.Intents, "events forgotten,", erased.Deliveries, "deliveries cancelled")
			_, err = outbox.Enqueue(ctx, tx, outbox.Intent{Type: "person.deleted", Resource: person})
			return err
		})
	}
	_ = forget
}
