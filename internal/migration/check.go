package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/riverhook/riverhook/internal/store"
)

// ErrNotMigrated is behind every error that says that a schema is missing, is
// behind what this library needs, or is too new for it.
var ErrNotMigrated = errors.New("the database is not migrated for this version of riverhook")

// errEmptied is behind the error of a schema whose tables are there and whose records
// of migrations are gone. Migrating cannot repair it, since what is there would
// be made again.
var errEmptied = errors.New("the records of migrations were deleted")

func (l *library) check(ctx context.Context, db store.DBTX, schema string) error {
	q := store.In(db, schema)
	tables, err := q.MigrationTables(ctx, schema)
	if err != nil {
		return fmt.Errorf("look for migrations: %w", err)
	}
	if !slices.Contains(tables, "migration") {
		return fmt.Errorf("%w: schema %q has no riverhook tables: run outbox.Migrate", ErrNotMigrated, schema)
	}
	if err := l.checkVersion(ctx, q, schema); err != nil {
		return err
	}
	if !slices.Contains(tables, "signing_secret") {
		return fmt.Errorf("%w: schema %q was made by a version of riverhook that was never released: "+
			"drop the schema (DROP SCHEMA %s CASCADE deletes all events) and run outbox.Migrate", ErrNotMigrated, schema, schema)
	}
	if !slices.Contains(tables, "river_migration") {
		return fmt.Errorf("%w: schema %q has no River tables: run outbox.Migrate", ErrNotMigrated, schema)
	}
	return checkRiver(ctx, q, schema)
}

func (l *library) checkVersion(ctx context.Context, q *store.Queries, schema string) error {
	at, err := q.MigrationVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version of schema: %w", err)
	}
	version := l.version()
	switch {
	case at.Have == 0:
		return emptied(schema, "migration")
	case at.Have < version:
		return fmt.Errorf("%w: schema %q is at version %d and this program needs version %d: run outbox.Migrate",
			ErrNotMigrated, schema, at.Have, version)
	case at.MinClient > version:
		return fmt.Errorf("%w: schema %q is at version %d, which needs a program of version %d or later; this one is of version %d: update it",
			ErrNotMigrated, schema, at.Have, at.MinClient, version)
	}
	return nil
}

func checkRiver(ctx context.Context, q *store.Queries, schema string) error {
	have, err := q.RiverVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version of River's tables: %w", err)
	}
	if len(have) == 0 {
		return emptied(schema, "river_migration")
	}
	steps, err := RiverSteps()
	if err != nil {
		return err
	}
	for _, step := range steps {
		if !slices.Contains(have, int64(step.Version)) {
			return fmt.Errorf("%w: River's tables in schema %q lack River's migration %d: run outbox.Migrate",
				ErrNotMigrated, schema, step.Version)
		}
	}
	return nil
}

func emptied(schema, table string) error {
	return fmt.Errorf("%w: %w: the table %s of schema %q is empty, as TRUNCATE of all tables leaves it: "+
		"restore its rows, or drop the schema (DROP SCHEMA %s CASCADE deletes all events) and run outbox.Migrate; "+
		"leave this table out when you empty others",
		ErrNotMigrated, errEmptied, table, schema, schema)
}
