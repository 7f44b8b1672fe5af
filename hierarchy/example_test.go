package hierarchy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/signing"
)

func ExampleParsePath() {
	_, err := hierarchy.ParsePath("/noaa//oun")
	fmt.Println(err)
	p, err := hierarchy.ParsePath("/noaa/nws/oun")
	fmt.Println(p.Parent(), err)
	// Output:
	// invalid path "/noaa//oun": segment 2: is empty
	// /noaa/nws <nil>
}

func ExamplePath_Ancestors() {
	fmt.Println(hierarchy.Path("/noaa/nws/oun").Ancestors())
	// Output: [/noaa/nws/oun /noaa/nws /noaa /]
}

func ExampleMatchPattern() {
	for _, pattern := range []string{"user.role.added", "user.*", "user.**", "**"} {
		fmt.Println(pattern, hierarchy.MatchPattern(pattern, "user.role.added"))
	}
	// Output:
	// user.role.added true
	// user.* false
	// user.** true
	// ** true
}

func ExampleSecret() {
	secret, err := signing.ReadSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
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
func ExampleSubscriptions_DeleteByOwnerTx() {
	remove := func(ctx context.Context, tx pgx.Tx, subs *hierarchy.Subscriptions, principal string) error {
		if _, err := tx.Exec(ctx, `DELETE FROM principal WHERE id = $1`, principal); err != nil {
			return err
		}
		_, err := subs.DeleteByOwnerTx(ctx, tx, principal, nil)
		return err
	}
	_ = remove
}

// What a user has typed is refused with the field's name.
func ExampleSubscriptions_Create() {
	subscribe := func(ctx context.Context, subs *hierarchy.Subscriptions, url string) (uuid.UUID, error) {
		created, err := subs.Create(ctx, hierarchy.SubscriptionSpec{
			Events: []string{"user.*"},
			Owner:  "ada@example.com",
			Site:   "/noaa/nws",
			URL:    url,
		})
		if invalid, ok := errors.AsType[*hierarchy.InvalidSubscriptionError](err); ok {
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

// An office and its site are renamed together.
func ExampleSites_RenameTx() {
	rename := func(ctx context.Context, pool *pgxpool.Pool, sites *hierarchy.Sites) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE office SET slug = 'weather' WHERE slug = 'nws'`); err != nil {
				return err
			}
			_, err := sites.RenameTx(ctx, tx, "/noaa/nws", "weather")
			return err
		})
	}
	_ = rename
}
