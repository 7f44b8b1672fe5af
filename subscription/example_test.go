package subscription_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func ExampleSecret() {
	secret, err := dialect.ReadSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	fmt.Println("a secret prints as", secret)
	fmt.Printf("%d characters\n", len(secret.Reveal()))
	// Output:
	// a secret prints as [redacted]
	// 38 characters
}

// The principal and its subscriptions go in one transaction.
func ExampleStore_In() {
	remove := func(ctx context.Context, tx pgx.Tx, subs *subscription.Store, principal string) error {
		if _, err := tx.Exec(ctx, `DELETE FROM principal WHERE id = $1`, principal); err != nil {
			return err
		}
		_, err := subs.In(tx).DeleteByOwner(ctx, principal, nil)
		return err
	}
	_ = remove
}

// What a user has typed is refused with the field's name.
func ExampleStore_Create() {
	subscribe := func(ctx context.Context, subs *subscription.Store, url string) (uuid.UUID, error) {
		created, err := subs.Create(ctx, subscription.Spec{
			Events: []string{"user.*"},
			Owner:  "ada@example.com",
			Site:   "/noaa/nws",
			URL:    url,
		})
		if invalid, ok := errors.AsType[*subscription.InvalidError](err); ok {
			return uuid.UUID{}, fmt.Errorf("please correct %s: it %s", invalid.Field, invalid.Reason)
		}
		if err != nil {
			return uuid.UUID{}, err
		}
		fmt.Println("keep this for the receiver:", created.Secret.Reveal())
		return created.ID, nil
	}
	_ = subscribe
}
