-- name: GetEventType :one
SELECT * FROM /* TEMPLATE: schema */event_type WHERE name = $1;

-- name: ListEventTypes :many
SELECT * FROM /* TEMPLATE: schema */event_type
WHERE name COLLATE "C" > sqlc.arg(after)::text COLLATE "C"
AND (archived_at IS NULL OR sqlc.arg(include_archived)::boolean)
ORDER BY name COLLATE "C"
LIMIT sqlc.arg(max_rows)::integer;

-- name: LockEventTypes :exec
LOCK TABLE /* TEMPLATE: schema */event_type IN SHARE ROW EXCLUSIVE MODE;

-- name: ListAllEventTypes :many
SELECT * FROM /* TEMPLATE: schema */event_type;

-- name: PutEventType :exec
INSERT INTO /* TEMPLATE: schema */event_type (name, description, extends, payloads, payload_age_ms)
VALUES (sqlc.arg(name)::text, sqlc.arg(description)::text, sqlc.arg(extends)::text[], sqlc.arg(payloads)::text, sqlc.arg(payload_age_ms)::bigint)
ON CONFLICT (name) DO UPDATE
SET description = excluded.description, extends = excluded.extends, payloads = excluded.payloads,
    payload_age_ms = excluded.payload_age_ms, updated_at = now();

-- name: SetUmbrellaPatterns :exec
UPDATE /* TEMPLATE: schema */event_type SET umbrella_patterns = sqlc.arg(patterns)::text[]
WHERE name = sqlc.arg(name)::text;

-- name: ArchiveEventType :execrows
UPDATE /* TEMPLATE: schema */event_type SET archived_at = coalesce(archived_at, now())
WHERE name = sqlc.arg(name)::text;

-- name: UnarchiveEventType :execrows
UPDATE /* TEMPLATE: schema */event_type SET archived_at = NULL
WHERE name = sqlc.arg(name)::text;

-- name: ListEventSchemas :many
SELECT * FROM /* TEMPLATE: schema */event_schema
WHERE type = ANY (sqlc.arg(types)::text[])
ORDER BY type, version;

-- name: PutEventSchema :exec
INSERT INTO /* TEMPLATE: schema */event_schema (type, version, draft, schema, example)
VALUES (
    sqlc.arg(type)::text, sqlc.arg(version)::integer, sqlc.arg(draft)::text,
    sqlc.arg(schema)::text::json, nullif(sqlc.arg(example)::text, '')::json)
ON CONFLICT (type, version) DO UPDATE SET example = excluded.example;

-- name: GetEventSchema :one
SELECT draft, schema FROM /* TEMPLATE: schema */event_schema
WHERE type = sqlc.arg(type)::text AND version = sqlc.arg(version)::integer;

-- name: ListNewestVersions :many
SELECT t.name, (t.archived_at IS NOT NULL)::boolean AS archived, coalesce(max(s.version), 0)::integer AS newest
FROM /* TEMPLATE: schema */event_type t
LEFT JOIN /* TEMPLATE: schema */event_schema s ON s.type = t.name
GROUP BY t.name;
