package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// poolSize is the same for the engine and for what it is compared with.
const poolSize = 25

// database makes a database of the server and returns its URL.
func (b *bench) database(ctx context.Context, name string) (string, error) {
	name = "riverhook_bench_" + name + "_" + uuid.NewString()[:8]
	conn, err := pgx.Connect(ctx, b.serverURL)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing follows from it
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create a database: %w", err)
	}
	b.databases = append(b.databases, name)
	u, err := url.Parse(b.serverURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// dropDatabases leaves a server that is not ours as it was.
func (b *bench) dropDatabases(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing follows from it
	var errs []error
	for _, name := range b.databases {
		_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func openPool(ctx context.Context, databaseURL string, conns int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(conns) //nolint:gosec // the number of a benchmark's goroutines
	return pgxpool.NewWithConfig(ctx, cfg)
}

// world is a database that has Riverhook's schema.
type world struct {
	pool *pgxpool.Pool
	subs *subscription.Store
	url  string
}

func (b *bench) newWorld(ctx context.Context, name string) (*world, error) {
	databaseURL, err := b.database(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &world{url: databaseURL}
	if w.pool, err = openPool(ctx, databaseURL, poolSize); err != nil {
		return nil, err
	}
	if err := outbox.Migrate(ctx, w.pool, nil); err != nil {
		w.pool.Close()
		return nil, err
	}
	engine, err := newEngine(w.pool, "unstarted")
	if err != nil {
		w.pool.Close()
		return nil, err
	}
	w.subs = engine.Subscriptions()
	return w, nil
}
