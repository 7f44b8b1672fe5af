-- name: EnqueueOne :one
SELECT coalesce(r.wire_id, '')::text AS wire_id, r.outcome::text AS outcome,
    coalesce(r.field, '')::text AS field, coalesce(r.reason, '')::text AS reason
FROM /* TEMPLATE: schema */enqueue_one(
    sqlc.narg(id)::text, sqlc.arg(type)::text, sqlc.arg(site)::text, sqlc.arg(active_site)::text,
    sqlc.arg(resource_kind)::text, sqlc.arg(resource_id)::text, sqlc.arg(actor)::text, sqlc.arg(channel)::text,
    sqlc.arg(attributes)::text::jsonb, sqlc.arg(schema_version)::integer, sqlc.arg(data)::text, sqlc.narg(occurred_at)::timestamptz, sqlc.narg(not_before)::timestamptz,
    sqlc.narg(share)::text, sqlc.arg(client)::integer, sqlc.arg(max_bytes)::integer, sqlc.arg(checked)::boolean, sqlc.arg(notify)::boolean) AS r;

-- name: EnqueueBatch :many
SELECT r.ord::integer AS ord, coalesce(r.id, '')::text AS wire_id, r.outcome::text AS outcome,
    coalesce(r.field, '')::text AS field, coalesce(r.reason, '')::text AS reason
FROM /* TEMPLATE: schema */enqueue_batch(
    sqlc.arg(intents)::text::json, sqlc.arg(client)::integer, sqlc.arg(max_bytes)::integer, sqlc.arg(checked)::boolean, sqlc.arg(notify)::boolean) AS r;

-- name: Erase :one
SELECT coalesce(r.refused, '')::text AS refused, coalesce(r.intents, 0)::integer AS intents,
    coalesce(r.messages, 0)::integer AS messages, coalesce(r.deliveries, 0)::integer AS deliveries,
    coalesce(r.attempts, 0)::integer AS attempts
FROM /* TEMPLATE: schema */erase(
    sqlc.arg(resource_kind)::text, sqlc.arg(resource_id)::text, sqlc.arg(client)::integer) AS r;

-- name: IntentsOfTransaction :one
SELECT coalesce(json_agg(json_build_object(
    'ID', i.wire_id, 'Type', i.type, 'Site', i.site, 'ActiveSite', i.active_site,
    'Resource', json_build_object('Kind', i.resource_kind, 'ID', i.resource_id),
    'Actor', i.actor, 'Channel', i.channel, 'Attributes', i.attributes, 'SchemaVersion', i.schema_version, 'Data', convert_from(i.data, 'UTF8'),
    'OccurredAt', i.occurred_at, 'NotBefore', i.not_before, 'Share', i.share) ORDER BY s.job_id), '[]')::text AS intents
FROM /* TEMPLATE: schema */intent i JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
WHERE i.created_at = now();
