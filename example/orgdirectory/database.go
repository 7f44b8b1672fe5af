package main

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
	cleanupTime           = 5 * time.Second
	insufficientPrivilege = "42501"
)

// database is a database of our own on a server that was found or started.
type database struct {
	name   string
	pool   *pgxpool.Pool
	server *pgserver.Server
}

func openDatabase(ctx context.Context, show *console) (*database, error) {
	server, err := pgserver.Start(ctx, nil)
	if err != nil {
		return nil, err
	}
	show.notef("%s", server.Source())
	db := &database{name: "orgdirectory_" + strings.ToLower(rand.Text()[:10]), server: server}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.close(ctx))
	}
	show.notef("Database: %s, for as long as this runs", db.name)
	return db, nil
}

func (db *database) open(ctx context.Context) error {
	if err := db.admin(ctx, "CREATE DATABASE "+db.name+" TEMPLATE template0"); err != nil {
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if ok && pgErr.Code == insufficientPrivilege {
			return fmt.Errorf("this example works in a database of its own, which the role of DATABASE_URL may not create: "+
				"give it CREATEDB, or unset DATABASE_URL: %w", err)
		}
		return err
	}
	cfg, err := pgxpool.ParseConfig(db.server.URL())
	if err != nil {
		return err
	}
	cfg.ConnConfig.Database = db.name
	cfg.MaxConns = 20
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	return outbox.Migrate(ctx, db.pool, nil)
}

// close drops the database, and stops the server if it was started here; after
// Ctrl-C as well, so it has a time of its own.
func (db *database) close(ctx context.Context) error {
	if db.pool != nil {
		db.pool.Close()
	}
	if db.server.Owned() {
		return db.server.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	return errors.Join(db.admin(ctx, "DROP DATABASE IF EXISTS "+db.name+" WITH (FORCE)"), db.server.Close())
}

// admin runs a statement outside our database.
func (db *database) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, db.server.URL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
