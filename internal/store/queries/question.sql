-- name: LoadGates :many
-- LoadGates loads what a request to each of some subscriptions needs beside the
-- subscription itself, and what the type of the event in question says of payloads.
SELECT
    s.id,
    ARRAY(
        SELECT k.packed FROM /* TEMPLATE: schema */signing_secret k
        WHERE k.subscription_id = s.id ORDER BY k.created_at DESC, k.id DESC
    )::bytea[] AS secrets,
    coalesce(ceil(extract(epoch FROM c.asked_until - now()) * 1000), 0)::bigint AS asked_ms,
    coalesce(ceil(extract(epoch FROM c.circuit_until - now()) * 1000), 0)::bigint AS circuit_ms,
    coalesce(c.circuit_opened, 0)::integer AS circuit_opened,
    coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS trial,
    coalesce(c.probe_until > now(), false)::boolean AS probed,
    coalesce(c.gone, false)::boolean AS gone,
    coalesce(c.failing, false)::boolean AS failing,
    coalesce(t.payloads, '')::text AS type_payloads, coalesce(t.payload_age_ms, 0)::bigint AS type_payload_age_ms
FROM unnest(@ids::text[]) AS u (id)
JOIN /* TEMPLATE: schema */subscription s ON s.id = u.id::uuid AND s.deleted_at IS NULL
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch
LEFT JOIN /* TEMPLATE: schema */event_type t ON t.name = @type::text;

-- name: InsertQuestion :exec
-- InsertQuestion writes a question that was asked, as an intent without a River
-- job, which CommitExpansions takes to its end in the same transaction.
WITH question AS (
    INSERT INTO /* TEMPLATE: schema */intent (
        id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel, attributes, tree_version, data, occurred_at, share)
    VALUES (
        @id, @wire_id, @type, @site, @active_site, @resource_kind, @resource_id, @actor, @channel, (@attributes::text)::jsonb,
        @tree_version, @data, @occurred_at, /* TEMPLATE: schema */site_share(@site))
)
INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id) VALUES (@id, 0);

-- name: TryErasureLock :one
-- TryErasureLock keeps a resource from being erased until the transaction ends. It
-- returns false, and does not wait, while a transaction that erases it is open.
SELECT pg_try_advisory_xact_lock_shared(hashtextextended(
    '/* TEMPLATE: schema_name */ erase ' || sqlc.arg(resource_kind)::text || ' ' || sqlc.arg(resource_id)::text, 0))::boolean AS locked;

-- name: ErasedWithin :one
-- ErasedWithin says whether a resource was erased in the last so many
-- milliseconds. It must not be one statement with the lock: an erasure that was
-- committed just before the lock is to be seen.
SELECT EXISTS (
    SELECT FROM /* TEMPLATE: schema */erasure e
    WHERE e.resource = sha256(
            convert_to(sqlc.arg(resource_kind)::text, 'UTF8') || decode('00', 'hex') || convert_to(sqlc.arg(resource_id)::text, 'UTF8'))
        AND e.erased_at >= now() - sqlc.arg(age_ms)::bigint * interval '1 millisecond')::boolean AS erased;

-- name: EraseQuestion :exec
-- EraseQuestion leaves of a question what the function erase leaves of an intent.
WITH states AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET keep = NULL, keep_at = NULL WHERE s.intent_id = @id::uuid AND s.keep IS NOT NULL
), decisions AS (
    UPDATE /* TEMPLATE: schema */decision c SET reason = split_part(c.reason, ': ', 1)
    WHERE c.intent_id = @id::uuid AND c.outcome <> 'inactive'
), attempts AS (
    UPDATE /* TEMPLATE: schema */attempt a SET
        error = split_part(a.error, ':', 1), reason_phrase = '', request_headers = '{}', response_headers = '{}', response_body = NULL, response_sha256 = NULL
    FROM /* TEMPLATE: schema */delivery d
    WHERE d.intent_id = @id::uuid AND a.delivery_id = d.id
), deliveries AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        erased = true, reason = CASE WHEN d.last_outcome = 'vetoed' THEN '' ELSE d.reason END
    WHERE d.intent_id = @id::uuid
), messages AS (
    UPDATE /* TEMPLATE: schema */message m SET headers = '{}', body = NULL, body_sha256 = NULL, gone = true WHERE m.intent_id = @id::uuid
)
UPDATE /* TEMPLATE: schema */intent i SET
    attributes = '{}', data = NULL, data_sha256 = NULL, digest = NULL, gone = 'erased', gone_at = now()
WHERE i.id = @id::uuid;
