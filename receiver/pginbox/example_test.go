package pginbox_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

// The stock is reduced exactly once for each order, however often the order comes and
// whatever dies meanwhile.
func ExampleInTx() {
	reduce := pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		var order struct {
			Article string
			Count   int
		}
		if err := ev.JSON(&order); err != nil {
			return receiver.Response{}, err
		}
		_, err := tx.Exec(ctx, "UPDATE stock SET count = count - $2 WHERE article = $1", order.Article, order.Count)
		return receiver.Response{}, err
	})

	run := func(ctx context.Context, pool *pgxpool.Pool, secret dialect.Secret) error {
		receivers, err := receiver.NewRegistry(receiver.Receiver{
			Func:     reduce,
			Name:     "orders",
			Secrets:  receiver.StaticSecrets(secret),
			Verifier: dialect.StripeVerifier(nil),
		})
		if err != nil {
			return err
		}
		inbox, err := pginbox.New(pool, receivers, nil)
		if err != nil {
			return err
		}
		return inbox.Start(ctx)
	}
	_ = run
}
