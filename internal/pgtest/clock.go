package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// ClockPool is PoolSize on a database whose clock Jump sets: every statement, ours and
// River's, finds another now() before that of Postgres. To the process of the test it is as
// if its own clock were wrong.
func ClockPool(tb testing.TB, maxConns int32) *pgxpool.Pool {
	tb.Helper()
	url := EmptyDatabase(tb)
	execOnce(tb, url, `
		CREATE SCHEMA clock;
		CREATE TABLE clock.ahead AS SELECT interval '0' AS by;
		CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE
			AS 'SELECT pg_catalog.now() + (SELECT by FROM clock.ahead)';
		CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
			AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM clock.ahead)';
		DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET search_path = clock, pg_catalog, public', current_database());
		END $$`)
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		tb.Fatalf("pgtest: clock: %v", err)
	}
	cfg.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatalf("pgtest: clock: %v", err)
	}
	tb.Cleanup(pool.Close)
	if err := migration.Up(tb.Context(), pool, store.DefaultSchema); err != nil {
		tb.Fatalf("pgtest: clock: migrate: %v", err)
	}
	// Functions of the schema have a search_path of their own.
	execOnce(tb, url, `DO $$ DECLARE f regprocedure; BEGIN
		FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'riverhook'::regnamespace AND p.proconfig IS NOT NULL LOOP
			EXECUTE format('ALTER FUNCTION %s SET search_path = clock, pg_catalog, pg_temp', f);
		END LOOP;
	END $$`)
	return pool
}

// Jump sets the clock of a database that ClockPool has made forward, or back.
func Jump(tb testing.TB, pool *pgxpool.Pool, d time.Duration) {
	tb.Helper()
	_, err := pool.Exec(tb.Context(), `UPDATE clock.ahead SET by = by + $1::bigint * interval '1 ms'`, d.Milliseconds())
	if err != nil {
		tb.Fatalf("pgtest: jump: %v", err)
	}
}

func execOnce(tb testing.TB, url, statements string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatalf("pgtest: clock: %v", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	if _, err := conn.Exec(tb.Context(), statements); err != nil {
		tb.Fatalf("pgtest: clock: %v", err)
	}
}
