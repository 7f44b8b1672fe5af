-- name: LoadGates :many
-- LoadGates loads what a request to each of some subscriptions needs beside the
-- subscription itself, and what the type of the event in question says of payloads.
SELECT
    s.id,
    ARRAY(
        SELECT uuid_send(k.id) || CASE WHEN k.sealed THEN '\x01'::bytea ELSE '\x00'::bytea END || k.value
        FROM /* TEMPLATE: schema */secret k
        WHERE k.subscription_id = s.id AND k.pending_overlap_ms IS NULL
            AND (k.expires_at IS NULL OR k.expires_at > now())
        ORDER BY k.created_at DESC, k.id DESC
    )::bytea[] AS secrets,
    coalesce(ceil(extract(epoch FROM h.circuit_until - now()) * 1000), 0)::bigint AS circuit_ms,
    coalesce(h.circuit_opened, 0)::integer AS circuit_opened,
    (h.gone_at IS NOT NULL)::boolean AS gone,
    (h.failing_since IS NOT NULL)::boolean AS failing,
    coalesce(t.payloads, '')::text AS type_payloads, coalesce(t.payload_age_ms, 0)::bigint AS type_payload_age_ms
FROM unnest(@ids::text[]) AS u (id)
JOIN /* TEMPLATE: schema */subscription s ON s.id = u.id::uuid AND s.deleted_at IS NULL
LEFT JOIN /* TEMPLATE: schema */subscription_health h ON h.subscription_id = s.id AND h.epoch = s.epoch
LEFT JOIN /* TEMPLATE: schema */event_type t ON t.name = @type::text;

-- name: InsertQuestion :exec
-- InsertQuestion writes a question that was asked, as an intent without a River
-- job, which CommitExpansions takes to its end in the same transaction.
WITH question AS (
    INSERT INTO /* TEMPLATE: schema */intent (
        id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel, attributes, data, occurred_at)
    VALUES (
        @id, @wire_id, @type, @site, @active_site, @resource_kind, @resource_id, @actor, @channel, (@attributes::text)::jsonb,
        @data, @occurred_at)
)
INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id) VALUES (@id, 0);
