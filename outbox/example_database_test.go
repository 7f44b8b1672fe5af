package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/pgtest"
)

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

// examplePool returns a pool of a migrated database with the tables of the
// examples' application, and a function that removes it.
func examplePool(ctx context.Context) (pool *pgxpool.Pool, remove func()) {
	tb := &exampleTB{}
	pool = pgtest.Pool(tb)
	if _, err := pool.Exec(ctx, "CREATE TABLE person (id text PRIMARY KEY, name text NOT NULL)"); err != nil {
		panic(err)
	}
	return pool, func() {
		for _, cleanup := range slices.Backward(tb.cleanups) {
			cleanup()
		}
	}
}
