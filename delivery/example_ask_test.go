package delivery_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/outbox"
)

// A user is deleted unless a gate says no: first the question, then the transaction.
func ExampleEngine_Ask() {
	deleteUser := func(ctx context.Context, pool *pgxpool.Pool, engine *delivery.Engine, id string) error {
		user := access.Resource{Kind: "user", ID: id}
		_, err := engine.Ask(ctx, delivery.Question{
			Type:     "user.delete",
			Resource: user,
			Data:     map[string]string{"id": id},
		})
		if veto, ok := errors.AsType[*delivery.VetoError](err); ok {
			return fmt.Errorf("%s says: %s", veto.Vetoes[0].Name, veto.Vetoes[0].Reason)
		}
		if err != nil {
			return err // also where a gate that fails closed has not answered
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM users WHERE id = $1`, id); err != nil {
				return err
			}
			_, err := outbox.Enqueue(ctx, tx, outbox.Intent{Type: "user.deleted", Resource: user})
			return err
		})
	}
	_ = deleteUser
}
