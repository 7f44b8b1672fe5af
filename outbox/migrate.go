package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// SchemaVersion is the version of the schema that this library works with.
const SchemaVersion = migration.Version

// MigrateOpts are options of [Migrate].
type MigrateOpts struct {
	// Down migrates down, to TargetVersion. Default: up, to SchemaVersion.
	Down bool

	// Schema is the Postgres schema to migrate: 1 to 46 of a-z, 0-9 and "_", no
	// digit first. Empty: "riverhook". It belongs to Riverhook: do not give the
	// schema of another River.
	Schema string

	// TargetVersion is, with Down, the version of the schema that stays,
	// from 0 to SchemaVersion. 0 removes everything, with all data: Riverhook's
	// tables, those of its River, and the schema if nothing else is in it.
	TargetVersion int
}

// Migrate brings River's tables and Riverhook's up to the versions of this
// library, in a schema of their own, which it makes if need be. It never runs
// on its own: call it when you deploy, or use [MigrationFS] with the tool you
// have. A nil opts is the zero MigrateOpts.
//
// It does nothing where nothing is missing, so every process may call it when
// it starts; those that do so at once wait for one another. It opens up to two
// connections of its own, made as the pool makes them, so a pool with a single
// one will do; a pooler behind it must have two to give. The role owns what it makes; on a database where it may not
// create schemas, an empty one that it may create in must exist.
//
// ctx bounds the wait for other processes too. The error is [ErrNotMigrated]
// where the schema is too new for this library. Each step is a transaction of
// its own: after a failure the next call goes on behind the last that succeeded.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts *MigrateOpts) error {
	var o MigrateOpts
	if opts != nil {
		o = *opts
	}
	o.Schema = cmp.Or(o.Schema, store.DefaultSchema)
	if err := o.validate(); err != nil {
		return err
	}
	if pool == nil {
		return errors.New("outbox: migrate: the pool is nil")
	}
	var err error
	if o.Down {
		err = migration.Down(ctx, pool, o.Schema, o.TargetVersion)
	} else {
		err = migration.Up(ctx, pool, o.Schema)
	}
	if err != nil {
		return fmt.Errorf("outbox: migrate: %w", err)
	}
	return nil
}

func (o *MigrateOpts) validate() error {
	if err := store.CheckSchema(o.Schema); err != nil {
		return fmt.Errorf("outbox: MigrateOpts.Schema: %w", err)
	}
	if o.TargetVersion < 0 || o.TargetVersion > SchemaVersion {
		return fmt.Errorf("outbox: MigrateOpts.TargetVersion: %d is not between 0 and %d", o.TargetVersion, SchemaVersion)
	}
	if !o.Down && o.TargetVersion != 0 {
		return errors.New("outbox: MigrateOpts.TargetVersion: is only for Down")
	}
	return nil
}
