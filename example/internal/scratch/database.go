// Package scratch gives an example program a database of its own.
package scratch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/pgserver"
	"github.com/riverhook/riverhook/outbox"
)

const (
	cleanupTime           = 20 * time.Second
	insufficientPrivilege = "42501"
)

// Database is a database of a program's own on a server that was found or started.
type Database struct {
	Pool   *pgxpool.Pool
	name   string
	server *pgserver.Server
}

// Open makes a database whose name begins with prefix, with Riverhook's schema in
// it, and says by notef where it is.
func Open(ctx context.Context, prefix string, notef func(format string, args ...any)) (*Database, error) {
	server, err := pgserver.Start(ctx, nil)
	if err != nil {
		return nil, err
	}
	notef("%s", server.Source())
	db := &Database{name: prefix + "_" + strings.ToLower(rand.Text()[:10]), server: server}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.Close(ctx))
	}
	notef("Database: %s, for as long as this runs", db.name)
	return db, nil
}

func (db *Database) open(ctx context.Context) error {
	if err := db.admin(ctx, "CREATE DATABASE "+db.name+" TEMPLATE template0"); err != nil {
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if ok && pgErr.Code == insufficientPrivilege {
			return fmt.Errorf("this example works in a database of its own, which the role of DATABASE_URL may not create: "+
				"give it CREATEDB, or unset DATABASE_URL: %w", err)
		}
		return err
	}
	var err error
	if db.Pool, err = Connect(ctx, db.server.URL(), db.name); err != nil {
		return err
	}
	return outbox.Migrate(ctx, db.Pool, nil)
}

// Connect returns the pool of a database on the server that url names.
func Connect(ctx context.Context, url, name string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.Database = name
	cfg.MaxConns = 20
	return pgxpool.NewWithConfig(ctx, cfg)
}

// Name is the database's.
func (db *Database) Name() string { return db.name }

// Source says where the server comes from.
func (db *Database) Source() string { return db.server.Source() }

// ServerURL is that of the server, for [Connect] in another process.
func (db *Database) ServerURL() string { return db.server.URL() }

// Close drops the database, and stops the server if it was started here; after
// Ctrl-C as well, so it has a time of its own.
func (db *Database) Close(ctx context.Context) error {
	if db.Pool != nil {
		db.Pool.Close()
	}
	if db.server.Owned() {
		return db.server.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return errors.Join(db.admin(ctx, "DROP DATABASE IF EXISTS "+db.name+" WITH (FORCE)"), db.server.Close())
}

// admin runs a statement outside our database.
func (db *Database) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, db.server.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
