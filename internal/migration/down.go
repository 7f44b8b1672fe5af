package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/riverhook/riverhook/internal/store"
)

// dependentObjects is the SQLSTATE of a DROP of something that is still used.
const dependentObjects = "2BP01"

func (l *library) down(ctx context.Context, pool *pgxpool.Pool, schema string, target int) error {
	return locked(ctx, pool, schema, func(ctx context.Context, own *pgxpool.Pool) error {
		have, err := version(ctx, own, schema)
		if err != nil {
			return err
		}
		if have > l.version() {
			return fmt.Errorf("%w: schema %q is at version %d and this program knows those up to %d: use a newer one",
				ErrNotMigrated, schema, have, l.version())
		}
		steps, err := l.all()
		if err != nil {
			return err
		}
		for _, step := range slices.Backward(steps) {
			if step.Version > have || step.Version <= target {
				continue
			}
			if err := undo(ctx, own, schema, step); err != nil {
				return fmt.Errorf("undo migration %d: %w", step.Version, err)
			}
		}
		if target > 0 {
			return nil
		}
		return removeRiver(ctx, own, schema)
	})
}

func undo(ctx context.Context, own *pgxpool.Pool, schema string, step Step) error {
	return pgx.BeginFunc(ctx, own, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, store.Render(step.Down, schema)); err != nil {
			return err
		}
		if step.Version == 1 {
			return nil // the table of versions went with it
		}
		return store.In(tx, schema).DeleteMigration(ctx, step.Version)
	})
}

func removeRiver(ctx context.Context, own *pgxpool.Pool, schema string) error {
	river, err := riverMigrator(own, schema)
	if err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}); err != nil {
		return fmt.Errorf("undo River's migrations: %w", err)
	}
	if schema == "public" {
		return nil
	}
	_, err = own.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == dependentObjects {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop schema: %w", err)
	}
	return nil
}
