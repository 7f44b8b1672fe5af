package outbox_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

// Queries is what sqlc generates for pgx.
type Queries struct{ db DBTX }

// DBTX is a pool, a connection or a transaction.
type DBTX interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// WithTx returns the queries in a transaction.
func (*Queries) WithTx(tx pgx.Tx) *Queries { return &Queries{db: tx} }

// InsertPerson is one of the queries.
func (q *Queries) InsertPerson(ctx context.Context, person Person) error {
	_, err := q.db.Exec(ctx, "INSERT INTO person (id, name) VALUES ($1, $2)", person.ID, person.Name)
	return err
}

// People is the application's repository. Its methods own their transactions,
// so they are the place to say what has happened.
type People struct {
	pool    *pgxpool.Pool
	queries *Queries
	outbox  *outbox.Client
}

// Hire writes people, and an intent for each, in one transaction.
func (p *People) Hire(ctx context.Context, people ...Person) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		queries := p.queries.WithTx(tx)
		intents := make([]outbox.Intent, len(people))
		for i, person := range people {
			if err := queries.InsertPerson(ctx, person); err != nil {
				return err
			}
			intents[i] = outbox.Intent{
				Type:     "person.created",
				Resource: access.Resource{Kind: "person", ID: person.ID},
				Data:     person,
			}
		}
		_, err := p.outbox.EnqueueMany(ctx, tx, intents)
		return err
	})
}

// A repository with the queries that sqlc generates enqueues beside them.
func Example_repository() {
	ctx := context.Background()
	pool, remove := examplePool(ctx)
	defer remove()

	client, err := outbox.New(nil)
	if err != nil {
		panic(err)
	}
	people := &People{
		pool:    pool,
		queries: &Queries{db: pool},
		outbox:  client,
	}
	if err := people.Hire(ctx, Person{ID: "1", Name: "Ann"}, Person{ID: "2", Name: "Bob"}); err != nil {
		panic(err)
	}
	err = people.Hire(ctx, Person{ID: "3", Name: "Cid"}, Person{ID: "1", Name: "Ann again"})
	fmt.Println("the second time:", err != nil)
	fmt.Println(len(intents(ctx, pool)), "intents")

	// Output:
	// the second time: true
	// 2 intents
}
