// Package directory is the application of the examples: the people in the offices of
// an organization.
package directory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

// Tables are the directory's own, beside Riverhook's in the same database.
const Tables = `
	CREATE SCHEMA directory;
	CREATE TABLE directory.person (
		id           text PRIMARY KEY,
		name         text NOT NULL,
		office       text NOT NULL,
		title        text NOT NULL,
		confidential boolean NOT NULL
	);
	CREATE TABLE directory.principal (
		id           text PRIMARY KEY,
		sees         text NOT NULL,    -- the part of the tree whose people it may see
		confidential boolean NOT NULL  -- also those who are confidential
	);`

// Person is somebody in the directory.
type Person struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Office       hierarchy.Path `json:"office"`
	Title        string         `json:"title"`
	Confidential bool           `json:"-"`
}

// People is the directory's repository. It works in the caller's transaction
// and puts an intent into it with each change: that is all that an application
// does about webhooks.
type People struct{ Events *outbox.Client }

// Create adds a person.
func (r *People) Create(ctx context.Context, tx pgx.Tx, p Person) (outbox.Result, error) {
	const insert = `INSERT INTO directory.person (id, name, office, title, confidential) VALUES ($1, $2, $3, $4, $5)`
	if _, err := tx.Exec(ctx, insert, p.ID, p.Name, p.Office, p.Title, p.Confidential); err != nil {
		return outbox.Result{}, err
	}
	return r.Events.Enqueue(ctx, tx, intent("user.created", p))
}

// Promote gives a person another title.
func (r *People) Promote(ctx context.Context, tx pgx.Tx, id, title string) (outbox.Result, error) {
	const update = `UPDATE directory.person SET title = $2 WHERE id = $1 RETURNING *`
	changed, err := collect(tx.Query(ctx, update, id, title))
	if err != nil {
		return outbox.Result{}, err
	}
	if len(changed) == 0 {
		return outbox.Result{}, fmt.Errorf("there is no person %q", id)
	}
	return r.Events.Enqueue(ctx, tx, intent("user.updated", changed[0]))
}

// Remove deletes people wherever they are. The events carry what is known of
// each, for after the commit nobody can look them up.
func (r *People) Remove(ctx context.Context, tx pgx.Tx, from hierarchy.Path, ids ...string) ([]outbox.Result, error) {
	const remove = `DELETE FROM directory.person WHERE id = ANY ($1) RETURNING *`
	gone, err := collect(tx.Query(ctx, remove, ids))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(gone, func(a, b Person) int { return strings.Compare(a.ID, b.ID) })
	intents := make([]outbox.Intent, len(gone))
	for i, p := range gone {
		intents[i] = intent("user.deleted", p)
		intents[i].ActiveSite = from
	}
	return r.Events.EnqueueMany(ctx, tx, intents)
}

func intent(eventType string, p Person) outbox.Intent {
	return outbox.Intent{
		Type:       eventType,
		Site:       p.Office,
		Resource:   access.Resource{Kind: "user", ID: p.ID},
		Actor:      "personnel",
		Data:       p,
		Attributes: map[string]string{"confidential": strconv.FormatBool(p.Confidential)},
	}
}

func collect(rows pgx.Rows, err error) ([]Person, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
}
