// Package store holds every SQL statement of Riverhook. The statements live in
// queries/*.sql, sqlc generates their Go code, and a comment in each of them
// marks where the schema's name goes.
package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema that is used where none is named.
const DefaultSchema = "riverhook"

// schemaName is narrower than what Postgres allows, so that the name needs no
// quoting in any context. 46 is the most that River allows.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,45}$`)

// CheckSchema says why name cannot be the name of a schema.
func CheckSchema(name string) error {
	if !schemaName.MatchString(name) {
		return fmt.Errorf("schema name %q: must be 1 to 46 of a-z, 0-9 and _, and not begin with a digit", name)
	}
	return nil
}

// In returns the queries, run on db in the given schema. On a pool each of them is a
// transaction of READ COMMITTED, which they are written for; in a transaction, it is
// that of the caller. What the session is set to changes nothing of what they return.
func In(db DBTX, schema string) *Queries {
	switch db := db.(type) {
	case *pgxpool.Pool:
		return New(&poolDB{schemaDB: schemaDB{db: db, schema: schema}, pool: db})
	case pgx.Tx:
		if readsText(db.Conn()) {
			return New(&plannedDB{
				batcher: db,
				schema:  schema,
				before:  []string{keepOutputs},
				after:   []string{restoreOutputs},
			})
		}
	}
	return Plain(db, schema)
}

// Plain is In for statements that return neither times nor bytes, and are run as they
// are.
func Plain(db DBTX, schema string) *Queries {
	return New(&schemaDB{db: db, schema: schema})
}

// Render puts the schema's name into the text of a statement or a migration.
func Render(sql, schema string) string {
	return strings.NewReplacer(
		"/* TEMPLATE: schema */", `"`+schema+`".`,
		"/* TEMPLATE: schema_name */", schema,
	).Replace(sql)
}

type schemaDB struct {
	db     DBTX
	schema string
}

func (s *schemaDB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return s.db.Exec(ctx, rendered(sql, s.schema), args...)
}

func (s *schemaDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return s.db.Query(ctx, rendered(sql, s.schema), args...)
}

func (s *schemaDB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return s.db.QueryRow(ctx, rendered(sql, s.schema), args...)
}

type renderKey struct{ sql, schema string }

// renderings keeps the text of each statement in each schema, of which there
// are few, so that pgx finds its prepared statement under the same string.
var renderings sync.Map

func rendered(sql, schema string) string {
	key := renderKey{sql, schema}
	if text, ok := renderings.Load(key); ok {
		return text.(string) //nolint:forcetypeassert // only strings are stored
	}
	text := Render(sql, schema)
	renderings.Store(key, text)
	return text
}

// UUIDs turns ids into the text[] that the statements cast to uuid[]: the one
// form of a list of uuids that pgx sends in each of its QueryExecModes.
func UUIDs(ids []uuid.UUID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}
