-- name: GetEventType :one
SELECT * FROM /* TEMPLATE: schema */event_type WHERE name = $1;

-- name: ListEventTypes :many
SELECT * FROM /* TEMPLATE: schema */event_type
WHERE name COLLATE "C" > sqlc.arg(after)::text COLLATE "C"
ORDER BY name COLLATE "C"
LIMIT sqlc.arg(max_rows)::integer;

-- name: LockEventTypes :exec
LOCK TABLE /* TEMPLATE: schema */event_type IN SHARE ROW EXCLUSIVE MODE;

-- name: ListAllEventTypes :many
SELECT * FROM /* TEMPLATE: schema */event_type;

-- name: PutEventType :exec
INSERT INTO /* TEMPLATE: schema */event_type (name, description, extends)
VALUES (sqlc.arg(name)::text, sqlc.arg(description)::text, sqlc.arg(extends)::text[])
ON CONFLICT (name) DO UPDATE
SET description = excluded.description, extends = excluded.extends, updated_at = now();

-- name: SetUmbrellaPatterns :exec
UPDATE /* TEMPLATE: schema */event_type SET umbrella_patterns = sqlc.arg(patterns)::text[]
WHERE name = sqlc.arg(name)::text;
