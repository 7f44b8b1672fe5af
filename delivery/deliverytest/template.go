package deliverytest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// databaseTime bounds each statement that makes or drops a database, and the wait
// for the connections of a test that has ended.
const databaseTime = time.Minute

// Template is a database that is prepared once for the tests of a package, migrations
// and all, and that each test gets a copy of: so tests can run in parallel, and Drain
// does the work of its own test alone. Its methods are safe for concurrent use.
type Template struct {
	config *pgxpool.Config
	name   string
}

// NewTemplate makes an empty database on the server of connString, and has prepare
// fill it: with outbox.Migrate, and with what the application migrates. The role
// needs the right to create databases. It is for TestMain; Close drops the database.
// The names of these databases and of their copies begin with "riverhook_test_".
func NewTemplate(
	ctx context.Context, connString string, prepare func(ctx context.Context, pool *pgxpool.Pool) error,
) (*Template, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("deliverytest: new template: %w", err)
	}
	t := &Template{config: config, name: databaseName()}
	if err := t.admin(ctx, `CREATE DATABASE `+quote(t.name)); err != nil {
		return nil, fmt.Errorf("deliverytest: new template: %w", err)
	}
	if err := t.prepare(ctx, prepare); err != nil {
		return nil, fmt.Errorf("deliverytest: new template: %w", errors.Join(err, t.drop(ctx, t.name)))
	}
	return t, nil
}

func (t *Template) prepare(ctx context.Context, prepare func(ctx context.Context, pool *pgxpool.Pool) error) error {
	pool, err := t.connect(ctx, t.name)
	if err != nil {
		return err
	}
	defer pool.Close()
	return prepare(ctx, pool)
}

// Pool returns a pool of a new copy, with the settings of the template's connString.
// At the test's end the pool is closed and the copy dropped, so stop the engines of
// the test before, in a Cleanup of their own. A connection that has not been given back
// a minute later fails the test.
func (t *Template) Pool(tb TB) *pgxpool.Pool {
	tb.Helper()
	ctx := context.Background()
	name := databaseName()
	if err := t.admin(ctx, `CREATE DATABASE `+quote(name)+` TEMPLATE `+quote(t.name)); err != nil {
		tb.Fatalf("deliverytest: copy the template: %v", err)
		return nil
	}
	pool, err := t.connect(ctx, name)
	if err != nil {
		tb.Fatalf("deliverytest: copy the template: %v", errors.Join(err, t.drop(ctx, name)))
		return nil
	}
	tb.Cleanup(func() {
		if !closed(pool, databaseTime) {
			tb.Errorf("deliverytest: %d connections were not given back to the pool", pool.Stat().AcquiredConns())
		}
		if err := t.drop(ctx, name); err != nil {
			tb.Errorf("deliverytest: %v", err)
		}
	})
	return pool
}

// Close drops the template. Copies stay.
func (t *Template) Close() error {
	if err := t.drop(context.Background(), t.name); err != nil {
		return fmt.Errorf("deliverytest: close the template: %w", err)
	}
	return nil
}

func (t *Template) connect(ctx context.Context, name string) (*pgxpool.Pool, error) {
	config := t.config.Copy()
	config.ConnConfig.Database = name
	return pgxpool.NewWithConfig(ctx, config)
}

func (t *Template) drop(ctx context.Context, name string) error {
	return t.admin(context.WithoutCancel(ctx), `DROP DATABASE IF EXISTS `+quote(name)+` WITH (FORCE)`)
}

// admin runs a statement on a connection of its own to the database of connString.
func (t *Template) admin(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.config.ConnConfig.Copy())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// closed is false if connections are still in use after d.
func closed(pool *pgxpool.Pool, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pool.Close()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func databaseName() string { return "riverhook_test_" + uuid.NewString() }

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
