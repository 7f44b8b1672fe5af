package orm

import (
	"context"
	"database/sql"
	"testing"

	entsql "entgo.io/ent/dialect/sql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
)

func TestORM_RowAndEventCommitTogether(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(t *testing.T, db *sql.DB) func(ctx context.Context, name string) error{
		"bun": func(_ *testing.T, db *sql.DB) func(ctx context.Context, name string) error {
			return func(ctx context.Context, name string) error { return Bun(ctx, bun.NewDB(db, pgdialect.New()), name) }
		},
		"ent": func(_ *testing.T, db *sql.DB) func(ctx context.Context, name string) error {
			return func(ctx context.Context, name string) error { return Ent(ctx, entsql.OpenDB("postgres", db), name) }
		},
		"gorm":              gormWith(false),
		"gorm, PrepareStmt": gormWith(true),
		"sqlx": func(_ *testing.T, db *sql.DB) func(ctx context.Context, name string) error {
			return func(ctx context.Context, name string) error { return SQLX(ctx, sqlx.NewDb(db, "pgx"), name) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open("pgx", pgtest.Database(t))
			require.NoError(t, err)
			defer db.Close()
			_, err = db.ExecContext(t.Context(), `CREATE TABLE users (
				name text CHECK (name <> 'mallory'), UNIQUE (name) DEFERRABLE INITIALLY DEFERRED)`)
			require.NoError(t, err)
			add := create(t, db)
			require.NoError(t, add(t.Context(), "ada"))
			require.NoError(t, add(t.Context(), "grace"))
			require.Error(t, add(t.Context(), "ada"), "the commit fails")
			require.Error(t, add(t.Context(), "mallory"))
			var users, events int
			require.NoError(t, db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM users),
				(SELECT count(*) FROM riverhook.intent i JOIN riverhook.river_job j ON j.args ->> 'intent_id' = i.id::text)`).Scan(&users, &events))
			require.Equal(t, []int{2, 2}, []int{users, events})
		})
	}
}

func gormWith(prepare bool) func(t *testing.T, db *sql.DB) func(ctx context.Context, name string) error {
	return func(t *testing.T, db *sql.DB) func(ctx context.Context, name string) error {
		t.Helper()
		orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{PrepareStmt: prepare, Logger: nil})
		require.NoError(t, err)
		return func(ctx context.Context, name string) error { return GORM(ctx, orm, name) }
	}
}

func TestORM_WhatIsOutsideOfATransactionIsRefused(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", pgtest.Database(t))
	require.NoError(t, err)
	defer db.Close()
	prepared, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{PrepareStmt: true})
	require.NoError(t, err)
	plain, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{})
	require.NoError(t, err)
	for name, pool := range map[string]outbox.Querier{
		"bun":               bun.NewDB(db, pgdialect.New()),
		"ent":               entsql.OpenDB("postgres", db),
		"gorm":              plain.Statement.ConnPool,
		"gorm, PrepareStmt": prepared.Statement.ConnPool,
		"sqlx":              sqlx.NewDb(db, "pgx"),
	} {
		_, err := outbox.EnqueueSQL(t.Context(), pool, created("ada"))
		require.EqualError(t, err, "outbox: enqueue: the transaction is a pool: begin a transaction and pass that", name)
	}
}
