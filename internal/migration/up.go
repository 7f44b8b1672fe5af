package migration

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/riverhook/riverhook/internal/store"
)

func (l *library) up(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	err := l.check(ctx, pool, schema)
	switch {
	case err == nil:
		return restoreRoot(ctx, store.In(pool, schema))
	case !errors.Is(err, ErrNotMigrated), errors.Is(err, errEmptied):
		return err
	}
	return locked(ctx, pool, schema, func(ctx context.Context, own *pgxpool.Pool) error {
		if err := createSchema(ctx, own, schema); err != nil {
			return err
		}
		river, err := riverMigrator(own, schema)
		if err != nil {
			return err
		}
		if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("apply River's migrations: %w", err)
		}
		have, err := version(ctx, own, schema)
		if err != nil {
			return err
		}
		steps, err := l.all()
		if err != nil {
			return err
		}
		for _, step := range steps {
			if step.Version <= have {
				continue
			}
			if err := apply(ctx, own, schema, step); err != nil {
				return fmt.Errorf("apply migration %d: %w", step.Version, err)
			}
		}
		return l.check(ctx, own, schema)
	})
}

// restoreRoot puts back what TRUNCATE of the sites has taken away.
func restoreRoot(ctx context.Context, q *store.Queries) error {
	has, err := q.HasRootSite(ctx)
	if err == nil && !has {
		err = q.RestoreRootSite(ctx)
	}
	if err != nil {
		return fmt.Errorf("restore the root of the sites: %w", err)
	}
	return nil
}

func createSchema(ctx context.Context, own *pgxpool.Pool, schema string) error {
	// CREATE SCHEMA IF NOT EXISTS asks for the right to create schemas also
	// where there is nothing to create.
	exists, err := store.In(own, schema).SchemaExists(ctx, schema)
	if err != nil {
		return fmt.Errorf("look for schema: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := own.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("create schema: %w", err)
	}
	return nil
}

func apply(ctx context.Context, own *pgxpool.Pool, schema string, step Step) error {
	return pgx.BeginFunc(ctx, own, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, store.Render(step.Up, schema)); err != nil {
			return err
		}
		return store.In(tx, schema).InsertMigration(ctx, &store.InsertMigrationParams{
			Version:   step.Version,
			MinClient: pgtype.Int4{Int32: step.minClient, Valid: step.minClient != 0},
		})
	})
}

// version returns the version of our part of the schema: 0 where there is none.
func version(ctx context.Context, own *pgxpool.Pool, schema string) (int, error) {
	q := store.In(own, schema)
	tables, err := q.MigrationTables(ctx, schema)
	if err != nil {
		return 0, fmt.Errorf("look for migrations: %w", err)
	}
	for _, table := range tables {
		if table == "migration" {
			at, err := q.MigrationVersions(ctx)
			if err != nil {
				return 0, fmt.Errorf("read version of schema: %w", err)
			}
			return at.Have, nil
		}
	}
	return 0, nil
}
