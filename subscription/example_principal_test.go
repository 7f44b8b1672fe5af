package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// What the handlers of an application do for its users: each principal has the
// store in its hands, as the application's rules allow.
func ExampleStore_As() {
	ctx := context.Background()
	pool, remove := examplePool()
	defer remove()
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckURL: func(string) error { return nil }, // egress.Policy has one
		Sealer:   seal.Clear(),
	})
	if err != nil {
		panic(err)
	}
	managers := map[string]hierarchy.Path{"head@noaa.example": "/noaa"}
	rules := &access.SiteManagers{
		IsManager: func(_ context.Context, principal string, sites []hierarchy.Path) (bool, error) {
			return slices.Contains(sites, managers[principal]), nil
		},
		MayCreate: func(_ context.Context, a access.Action) (bool, error) {
			return a.Permission == "view" && len(a.Events) <= 5, nil
		},
	}

	ada := subs.As("ada@noaa.example", rules)
	created, err := ada.Create(ctx, subscription.Spec{
		Events: []string{"user.created"},
		Owner:  "ada@noaa.example",
		Site:   "/noaa/nws",
		URL:    "https://example.com/hook",
	})
	if err != nil {
		panic(err)
	}
	root := hierarchy.Root
	_, err = ada.Update(ctx, created.ID, subscription.Update{Site: &root})
	fmt.Println("ada may move it to /:", !errors.Is(err, access.ErrDenied))

	_, err = subs.As("bob@noaa.example", rules).Get(ctx, created.ID)
	fmt.Println("for bob it is there:", !errors.Is(err, subscription.ErrNotFound))

	page, err := subs.As("head@noaa.example", rules).List(ctx, nil)
	if err != nil {
		panic(err)
	}
	for _, sub := range page.Subscriptions {
		fmt.Println("the head of /noaa sees that of", sub.Owner)
	}
	// Output:
	// ada may move it to /: false
	// for bob it is there: false
	// the head of /noaa sees that of ada@noaa.example
}

// exampleTB lets an Example use what is made for tests.
type exampleTB struct {
	testing.TB

	cleanups []func()
}

func (tb *exampleTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }

func (*exampleTB) Context() context.Context { return context.Background() }

func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (*exampleTB) Helper() {}

func (*exampleTB) Logf(string, ...any) {}

func (*exampleTB) Name() string { return "Example" }

// examplePool returns a pool of a migrated database, and a function that removes it.
func examplePool() (pool *pgxpool.Pool, remove func()) {
	tb := &exampleTB{}
	return pgtest.Pool(tb), func() {
		for _, cleanup := range slices.Backward(tb.cleanups) {
			cleanup()
		}
	}
}
