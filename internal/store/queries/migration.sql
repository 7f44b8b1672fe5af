-- name: MigrationTables :many
SELECT c.relname::text AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = sqlc.arg(schema_name)::text AND c.relname IN ('migration', 'river_migration', 'signing_secret');

-- name: SchemaExists :one
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = sqlc.arg(schema_name)::text);

-- name: MigrationVersions :one
SELECT coalesce(max(version), 0)::integer AS have, coalesce(max(coalesce(min_client, version)), 0)::integer AS min_client
FROM /* TEMPLATE: schema */migration;

-- name: RiverVersions :many
SELECT version FROM /* TEMPLATE: schema */river_migration WHERE line = 'main' ORDER BY version;

-- name: InsertMigration :exec
INSERT INTO /* TEMPLATE: schema */migration (version, min_client) VALUES ($1, $2);

-- name: DeleteMigration :exec
DELETE FROM /* TEMPLATE: schema */migration WHERE version = $1;

-- name: TryLockMigrations :one
-- TryLockMigrations does not wait, and keeps others out until the transaction
-- ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('riverhook migrate ' || sqlc.arg(schema_name)::text, 0))::boolean AS locked;

-- name: MayReindex :one
-- MayReindex says whether the role may rebuild the indexes of River's jobs: as a member of
-- the role that owns them, or from Postgres 17 on with the right to maintain the table.
SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE') OR CASE
    WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
    ELSE false
END), false)::boolean AS may
FROM pg_catalog.pg_class c
WHERE c.oid = '/* TEMPLATE: schema */river_job'::regclass;

-- name: HasRootSite :one
SELECT EXISTS (SELECT FROM /* TEMPLATE: schema */site s WHERE s.path = '/');

-- name: RestoreRootSite :exec
-- RestoreRootSite puts back the row that the first migration has made.
INSERT INTO /* TEMPLATE: schema */site (id, path) VALUES ('00000000-0000-0000-0000-000000000000', '/') ON CONFLICT DO NOTHING;
