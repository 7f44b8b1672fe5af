package manifest_test

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

// examplePool returns a pool of a migrated database, and a function that removes it.
func examplePool() (pool *pgxpool.Pool, remove func()) {
	tb := &exampleTB{}
	return pgtest.Pool(tb), func() {
		for _, cleanup := range slices.Backward(tb.cleanups) {
			cleanup()
		}
	}
}
