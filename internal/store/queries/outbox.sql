-- name: EnqueueBatch :many
SELECT r.ord::integer AS ord, coalesce(r.id, '')::text AS wire_id, r.outcome::text AS outcome,
    coalesce(r.field, '')::text AS field, coalesce(r.reason, '')::text AS reason
FROM /* TEMPLATE: schema */enqueue_batch(
    sqlc.arg(intents)::text::json, sqlc.arg(client)::integer, sqlc.arg(max_bytes)::integer, sqlc.arg(notify)::boolean) AS r;
