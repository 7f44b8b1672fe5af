// Package migration brings Riverhook's schema up and down: River's tables, by
// River's own migrations, and ours, by the files of sql/. A schema in which
// both are complete is one that [Check] accepts.
package migration

import (
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

// Version is the version of the schema that this library was written for. It
// is the number of the last file of sql/.
const Version = 1

// RiverVersion is the version of River's tables that the SQL of this library
// was proven against. A River module that is newer than ours brings its later
// migrations with it, and they are applied too.
const RiverVersion = 8

//go:embed sql/*.sql
var files embed.FS

// Step is one migration. Its texts are templates for [store.Render].
type Step struct {
	Version  int
	Name     string
	Up, Down string
}

// minClients has, for each version of the schema, the lowest version of this
// library that still works with it, where that is not the version itself.
var minClients = map[int]int32{}

var names = map[int]string{1: "initial"}

// Steps returns our migrations, from the first to the last.
func Steps() ([]Step, error) {
	steps := make([]Step, 0, Version)
	for version := 1; version <= Version; version++ {
		step := Step{Version: version, Name: names[version]}
		for suffix, text := range map[string]*string{"up": &step.Up, "down": &step.Down} {
			sql, err := fs.ReadFile(files, fmt.Sprintf("sql/%03d_%s.%s.sql", version, step.Name, suffix))
			if err != nil {
				return nil, err
			}
			*text = string(sql)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

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
