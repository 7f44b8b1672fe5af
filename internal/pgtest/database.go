package pgtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/riverhook/riverhook/internal/migration"
)

// insufficientPrivilege is the SQLSTATE of a right that is missing.
const insufficientPrivilege = "42501"

// databases makes and drops databases on one server. The names of all of them
// begin with prefix.
type databases struct {
	prefix   string
	sequence atomic.Int64
	url      string
}

// database makes a copy of template for the test and returns its URL.
func (d *databases) database(ctx context.Context, tb testing.TB, template string) string {
	tb.Helper()
	name := fmt.Sprintf("%s%d_%d", d.prefix, os.Getpid(), d.sequence.Add(1))
	err := d.admin(ctx, func(conn *pgx.Conn) error { return createDatabase(ctx, conn, name, template) })
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := d.admin(ctx, func(conn *pgx.Conn) error { return dropDatabase(ctx, conn, name) }); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return withDatabase(d.url, name)
}

// migratedTemplate returns the name of the database that has this program's
// migrations, and makes it if no process has done so yet. Nobody can connect to
// it, so that nothing hinders the copying.
func (d *databases) migratedTemplate(ctx context.Context) (string, error) {
	name := d.prefix + "template_" + migration.Fingerprint()[:12]
	return name, d.admin(ctx, func(conn *pgx.Conn) error {
		var ready bool
		const readyQuery = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
		if err := conn.QueryRow(ctx, readyQuery, name).Scan(&ready); ready || err != nil {
			return err
		}
		// The lock ends with the connection.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockKey(name)); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, readyQuery, name).Scan(&ready); ready || err != nil {
			return err
		}
		if err := dropDatabase(ctx, conn, name); err != nil { // of a process that died over it
			return err
		}
		if err := createDatabase(ctx, conn, name, "template0"); err != nil {
			return err
		}
		if err := migrate(ctx, withDatabase(d.url, name)); err != nil {
			return err
		}
		for _, option := range []string{"ALLOW_CONNECTIONS false", "IS_TEMPLATE true"} {
			if _, err := conn.Exec(ctx, "ALTER DATABASE "+quote(name)+" WITH "+option); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropAll drops every database whose name begins with the prefix.
func (d *databases) dropAll(ctx context.Context) error {
	return d.admin(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", d.prefix)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		var errs []error
		for _, name := range names {
			_, err := conn.Exec(ctx, "ALTER DATABASE "+quote(name)+" WITH IS_TEMPLATE false")
			errs = append(errs, err, dropDatabase(ctx, conn, name))
		}
		return errors.Join(errs...)
	})
}

// admin connects for one task: a pool that is kept would look like a leak to
// goleak, and a connection costs little beside the task.
func (d *databases) admin(ctx context.Context, do func(conn *pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return do(conn)
}

// createDatabase copies a template. To write its pages to the log and through the buffers takes
// twice as long as to copy its files, except where the checkpoint that this needs is durable.
func createDatabase(ctx context.Context, conn *pgx.Conn, name, template string) error {
	strategy := "WAL_LOG"
	var fsync string
	if err := conn.QueryRow(ctx, "SHOW fsync").Scan(&fsync); err == nil && fsync == "off" {
		strategy = "FILE_COPY"
	}
	_, err := conn.Exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(template)+" STRATEGY "+strategy)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == insufficientPrivilege {
		role := conn.Config().User
		return fmt.Errorf("the role %s of DATABASE_URL has no right to create databases (grant it: ALTER ROLE %s CREATEDB): %w",
			role, quote(role), err)
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

func dropDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func lockKey(name string) int64 {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return int64(hash.Sum64())
}

// withDatabase puts the database's name into a connection string of either of
// the forms that Postgres knows.
func withDatabase(connString, name string) string {
	if strings.HasPrefix(connString, "postgres://") || strings.HasPrefix(connString, "postgresql://") {
		if u, err := url.Parse(connString); err == nil {
			u.Path = "/" + name
			query := u.Query()
			query.Del("dbname")
			query.Del("database")
			u.RawQuery = query.Encode()
			return u.String()
		}
	}
	return connString + " dbname=" + name // the last one counts
}
