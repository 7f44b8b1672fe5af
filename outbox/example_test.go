package outbox_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// An intent shares the fate of the transaction that changes the data.
func Example() {
	ctx := context.Background()
	pool, remove := examplePool(ctx)
	defer remove()

	create := func(person Person) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO person (id, name) VALUES ($1, $2)", person.ID, person.Name)
			if err != nil {
				return err
			}
			_, err = outbox.Enqueue(ctx, tx, outbox.Intent{
				Type:     "person.created",
				Site:     "/noaa/nws/oun",
				Resource: access.Resource{Kind: "person", ID: person.ID},
				Data:     person,
			})
			if err != nil {
				return err
			}
			if person.Name == "Mallory" {
				return errors.New("not hired") // rolls back
			}
			return nil
		})
	}

	fmt.Println("Ann:", create(Person{ID: "1", Name: "Ann"}))
	fmt.Println("Mallory:", create(Person{ID: "2", Name: "Mallory"}))
	fmt.Println("intents:", intents(ctx, pool))

	// Output:
	// Ann: <nil>
	// Mallory: not hired
	// intents: [person.created {"id":"1","name":"Ann"}]
}

// With an ID that is derived from the operation, an operation that runs twice
// has one event.
func ExampleClient_Enqueue() {
	ctx := context.Background()
	pool, remove := examplePool(ctx)
	defer remove()

	client, err := outbox.New(&outbox.Config{MaxDataBytes: 64 << 10})
	if err != nil {
		panic(err)
	}
	for range 2 {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			res, err := client.Enqueue(ctx, tx, outbox.Intent{ID: "import-7-row-3", Type: "person.created"})
			fmt.Printf("%+v\n", res)
			return err
		})
		if err != nil {
			panic(err)
		}
	}

	// Output:
	// {ID:import-7-row-3 Duplicate:false}
	// {ID:import-7-row-3 Duplicate:true}
}

// A refused intent leaves the transaction usable.
func ExampleInvalidIntentError() {
	ctx := context.Background()
	pool, remove := examplePool(ctx)
	defer remove()

	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := outbox.EnqueueMany(ctx, tx, []outbox.Intent{
			{Type: "person.created"},
			{Type: "person.created", Resource: access.Resource{Kind: "person"}},
		})
		if invalid, ok := errors.AsType[*outbox.InvalidIntentError](err); ok {
			fmt.Printf("index %d, field %s: %s\n", invalid.Index, invalid.Field, invalid.Reason)
		}
		_, err = tx.Exec(ctx, "INSERT INTO person (id, name) VALUES ('1', 'Ann')")
		return err
	})
	fmt.Println("commit:", err)

	// Output:
	// index 1, field Resource: needs both a kind and an id, or neither
	// commit: <nil>
}

// intents lists what engines would find.
func intents(ctx context.Context, pool *pgxpool.Pool) []string {
	rows, err := pool.Query(ctx, "SELECT type || ' ' || convert_from(data, 'UTF8') FROM riverhook.intent ORDER BY occurred_at")
	if err != nil {
		panic(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		panic(err)
	}
	return all
}
