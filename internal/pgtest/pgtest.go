// Package pgtest gives each test a PostgreSQL database of its own, at the cost
// of copying a small one.
//
//	func TestX(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.Pool(t)
//		...
//	}
//
// A run of `go test ./...` has one server, which internal/pgserver finds or
// starts; see there for how to get one. The first test that needs it starts it,
// in a supervisor process, and the processes of the other packages find it. It
// is gone with everything in it about two seconds after the last of them,
// however they ended; a supervisor that is killed itself takes the server with
// it and leaves only a few small files in the temporary folder, which the next
// run reuses.
//
// On a server that DATABASE_URL names, the databases are named riverhook_* and
// dropped in the same way. The role needs the right to create databases.
package pgtest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// DefaultMaxConns is the size of the pools that Pool returns. Many tests run at
// once, and they share the server's connections.
const DefaultMaxConns = 10

// setupTimeout covers the start of the server by another process.
const setupTimeout = 5 * time.Minute

// atExit is set where a process has a server of its own.
var atExit = func() {}

// Main runs the tests and exits the process. On Unix a package needs no
// TestMain for this package's sake, and one that calls goleak.VerifyTestMain
// does as well: no goroutine is left behind. Elsewhere each process has a
// server of its own, and Main is what closes it.
func Main(m *testing.M) {
	code := m.Run()
	atExit()
	os.Exit(code)
}

// Database returns the URL of a new database that has the schema riverhook,
// fully migrated. It is dropped when the test ends, whoever is connected. The
// test fails if there is no server.
func Database(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), setupTimeout)
	defer cancel()
	server := server(tb)
	template, err := server.migratedTemplate(ctx)
	if err != nil {
		tb.Fatalf("pgtest: make the migrated template: %v", err)
	}
	return server.database(ctx, tb, template)
}

// EmptyDatabase is Database without any schema: nothing is migrated.
func EmptyDatabase(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), setupTimeout)
	defer cancel()
	return server(tb).database(ctx, tb, "template0")
}

// Pool returns a pool of at most DefaultMaxConns connections to a database as
// Database makes it. When the test ends the pool is closed and the database
// dropped; a connection that the test has not given back by then fails it.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	return PoolSize(tb, DefaultMaxConns)
}

// PoolSize is Pool with at most maxConns connections.
func PoolSize(tb testing.TB, maxConns int32) *pgxpool.Pool {
	tb.Helper()
	cfg, err := pgxpool.ParseConfig(Database(tb))
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	cfg.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(tb.Context()), cfg)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() { closePool(tb, pool) })
	return pool
}

// closePool does not wait for ever for a connection that the test has lost,
// which would hide the test's name behind the time limit of the whole run.
func closePool(tb testing.TB, pool *pgxpool.Pool) {
	tb.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		tb.Errorf("pgtest: %d connections were not given back to the pool", pool.Stat().AcquiredConns())
	}
}

func migrate(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	return migration.Up(ctx, pool, store.DefaultSchema)
}
