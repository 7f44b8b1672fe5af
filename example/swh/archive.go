package main

import (
	"context"
	"fmt"
	"path"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

const tables = `
	CREATE SCHEMA archive;
	CREATE TABLE archive.origin (url text PRIMARY KEY);
	CREATE TABLE archive.visit (origin text REFERENCES archive.origin, number integer, status text, PRIMARY KEY (origin, number));`

// archive is the application. Each change puts its event into the same
// transaction, on the channel of its origin.
type archive struct {
	events *outbox.Client
	pool   *pgxpool.Pool
}

func (a *archive) create(ctx context.Context, origin string) (id string, err error) {
	const insert = `INSERT INTO archive.origin VALUES ($1)`
	in := outbox.Intent{
		ID:      "new-" + path.Base(origin),
		Type:    originCreate,
		Channel: origin,
		Data:    created{origin},
	}
	return a.commit(ctx, in, insert, origin)
}

// visit says of which version of the schema v is; 0 is the newest.
func (a *archive) visit(ctx context.Context, v visit, version int) (id string, err error) {
	const insert = `INSERT INTO archive.visit VALUES ($1, $2, $3)`
	in := outbox.Intent{
		ID:            fmt.Sprintf("%s-%d", path.Base(v.Origin), v.Number),
		Type:          originVisit,
		SchemaVersion: version,
		Channel:       v.Origin,
		Data:          v,
	}
	return a.commit(ctx, in, insert, v.Origin, v.Number, v.Status)
}

// commit does one thing and says so, or neither.
func (a *archive) commit(ctx context.Context, in outbox.Intent, insert string, args ...any) (id string, err error) {
	in.Resource = access.Resource{Kind: "origin", ID: in.Channel}
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insert, args...); err != nil {
			return err
		}
		done, err := a.events.Enqueue(ctx, tx, in)
		id = done.ID
		return err
	})
	return id, err
}

// size is how much there is of the archive and of its events.
func (a *archive) size(ctx context.Context) (says string, err error) {
	err = a.pool.QueryRow(ctx, `SELECT format('%s origins, %s visits, %s events', (SELECT count(*) FROM archive.origin),
		(SELECT count(*) FROM archive.visit), (SELECT count(*) FROM riverhook.intent))`).Scan(&says)
	return says, err
}
