// Package migration brings Riverhook's schema up and down: River's tables, by
// River's own migrations, and ours, by the files of sql/: tables and views by
// step, and each function by the version that it is from. A schema in which both are
// complete is one that [Check] accepts.
package migration

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/riverhook/riverhook/internal/store"
)

// Version is the version of the schema that this library was written for: the
// number of its last step.
const Version = 1

// RiverVersion is the version of River's tables that the SQL of this library
// was proven against. A River module that is newer than ours brings its later
// migrations with it, and they are applied too.
const RiverVersion = 8

//go:embed sql
var files embed.FS

// current is this version of the library.
var current = library{
	files: subFolder(files, "sql"),
	steps: []stepRow{
		{name: "initial"},
	},
	// The order in which migrations were published. New ones go to the end, whoever
	// made them, so that numbers never change.
	releases: []release{
		{river: true, version: 1},
		{river: true, version: 2},
		{river: true, version: 3},
		{river: true, version: 4},
		{river: true, version: 5},
		{river: true, version: 6},
		{river: true, version: 7},
		{river: true, version: 8},
		{version: 1},
	},
}

func subFolder(files fs.FS, folder string) fs.FS {
	sub, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // the folder's name is no path
	}
	return sub
}

// Up makes the schema if it does not exist, and applies what is missing of
// River's migrations and of ours, each in its own transaction together with
// the row that records it. It puts back the root of the sites if that was deleted.
// If nothing is missing it only reads. Processes that call it at once wait for one
// another, until ctx ends.
//
// It fails with [ErrNotMigrated] if the schema is too new for this library.
func Up(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	return current.up(ctx, pool, schema)
}

// Down undoes our migrations after the target version, from the last to the
// first, and with a target of 0 River's too and then the schema, if nothing of
// others is in it. The data of what it undoes is gone.
//
// It fails with [ErrNotMigrated] if the schema is newer than this library,
// which then does not know how to undo it.
func Down(ctx context.Context, pool *pgxpool.Pool, schema string, target int) error {
	return current.down(ctx, pool, schema, target)
}

// Check returns an error that wraps ErrNotMigrated, and says what to
// do, unless this library can work with the schema. It only reads; in a
// transaction of the caller it leaves the transaction usable.
func Check(ctx context.Context, db store.DBTX, schema string) error {
	return current.check(ctx, db, schema)
}

// Scripts returns all migrations, the schema itself first. It fails if the
// River module has migrations beyond RiverVersion.
func Scripts(schema string) ([]Script, error) { return current.scripts(schema) }

// Steps returns our migrations, from the first to the last.
func Steps() ([]Step, error) { return current.all() }

// RiverSteps returns the migrations of the River module that this program is
// built with, from the first to the last.
func RiverSteps() ([]Step, error) {
	migrator, err := riverMigrator(nil, store.DefaultSchema)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, m := range migrator.AllVersions() {
		steps = append(steps, Step{
			Version: m.Version,
			Name:    m.Name,
			Up:      m.SQLUp,
			Down:    m.SQLDown,
		})
	}
	return steps, nil
}

// Fingerprint changes whenever the text of a migration of ours or of River's
// does: databases with the same fingerprint can be copies of one another.
func Fingerprint() string {
	hash := sha256.New()
	for _, read := range []func() ([]Step, error){RiverSteps, Steps} {
		steps, err := read()
		hash.Write(fmt.Appendf(nil, "%v %v\n", steps, err))
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func riverMigrator(pool *pgxpool.Pool, schema string) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Logger: slog.New(slog.DiscardHandler),
		Schema: schema,
	})
}
