-- name: LoadDeliveries :many
-- LoadDeliveries loads what an attempt needs, except for the data and the message
-- where they have more than inline bytes, of which it loads the size: many deliveries
-- of one intent wait for their turn.
SELECT
    d.id, d.intent_id, d.subscription_id, d.dialect, d.epoch, d.state, d.hold, d.round, d.attempt_seq, d.attempts,
    d.interrupted, d.job_id, d.manual, d.at_once, coalesce(d.ended_runs::text, '')::text AS ended_runs,
    coalesce(ceil(extract(epoch FROM now() - d.access_at) * 1000), -1)::bigint AS access_age_ms,
    i.wire_id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel, i.attributes,
    i.schema_version, i.tree_version, i.occurred_at,
    (CASE WHEN octet_length(i.data) <= @inline::integer THEN i.data END)::bytea AS data,
    (CASE WHEN octet_length(i.data) > @inline::integer THEN octet_length(i.data) ELSE 0 END)::integer AS data_bytes,
    m.content_type, m.headers AS message_headers, m.gone AS message_gone,
    (CASE WHEN octet_length(m.body) <= @inline::integer THEN m.body END)::bytea AS body,
    (CASE WHEN octet_length(m.body) > @inline::integer THEN octet_length(m.body) ELSE 0 END)::integer AS body_bytes,
    s.url, s.owner, s.operator, s.permission, s.headers, s.schedule, s.timeout_ms, s.max_in_flight, s.rate_events, s.rate_per_ms, s.rate_burst,
    s.credentials_version, s.url_version, s.state AS subscription_state, s.site AS subscription_site,
    s.state_reason, s.epoch AS subscription_epoch, (s.deleted_at IS NOT NULL)::boolean AS deleted,
    ARRAY(
        SELECT k.packed FROM /* TEMPLATE: schema */signing_secret k
        WHERE k.subscription_id = d.subscription_id ORDER BY k.created_at DESC, k.id DESC
    )::bytea[] AS secrets,
    coalesce(ceil(extract(epoch FROM c.asked_until - now()) * 1000), 0)::bigint AS asked_ms,
    coalesce(ceil(extract(epoch FROM c.circuit_until - now()) * 1000), 0)::bigint AS circuit_ms,
    coalesce(c.circuit_opened, 0)::integer AS circuit_opened,
    coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS trial,
    coalesce(c.probe_until > now() AND c.probe_id <> d.id, false)::boolean AS probed,
    coalesce(c.probe_until > now() AND c.probe_id = d.id, false)::boolean AS probe,
    coalesce(c.gone, false)::boolean AS gone,
    coalesce(c.failing, false)::boolean AS failing
FROM unnest(@ids::text[]) AS u (id)
JOIN /* TEMPLATE: schema */delivery d ON d.id = u.id::uuid
JOIN /* TEMPLATE: schema */intent i ON i.id = d.intent_id
JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect
JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch;

-- name: LoadPayloads :many
-- LoadPayloads loads messages by their dialects, and the data of intents by the
-- dialect ''. What is not there any more is null.
SELECT u.intent_id, u.dialect,
    (CASE
        WHEN u.dialect = '' THEN (SELECT i.data FROM /* TEMPLATE: schema */intent i WHERE i.id = u.intent_id)
        ELSE (SELECT m.body FROM /* TEMPLATE: schema */message m
            WHERE m.intent_id = u.intent_id AND m.dialect = u.dialect AND NOT m.gone)
    END)::bytea AS payload
FROM (SELECT unnest(@intent_ids::text[])::uuid AS intent_id, unnest(@dialects::text[])::text AS dialect) u;

-- name: RereadTargets :many
-- RereadTargets reads again what can have changed since an attempt was loaded, right
-- before its request: whether its delivery is where it was, and its subscription, which
-- many of a batch have in common. What has no delivery yet, or none at all, is not known.
WITH asked AS MATERIALIZED (
    SELECT unnest(@ids::text[])::uuid AS id, unnest(@subscriptions::text[])::uuid AS subscription_id
), sub AS MATERIALIZED (
    SELECT
        s.id, s.url, s.pending_url, s.owner, s.operator, s.permission, s.headers, s.schedule, s.timeout_ms, s.max_in_flight,
        s.rate_events, s.rate_per_ms, s.rate_burst,
        s.credentials_version, s.url_version, s.state, s.state_reason, s.epoch, (s.deleted_at IS NOT NULL)::boolean AS deleted,
        ARRAY(
            SELECT k.packed FROM /* TEMPLATE: schema */signing_secret k
            WHERE k.subscription_id = s.id ORDER BY k.created_at DESC, k.id DESC
        )::bytea[] AS secrets,
        coalesce(ceil(extract(epoch FROM c.asked_until - now()) * 1000), 0)::bigint AS asked_ms,
        coalesce(ceil(extract(epoch FROM c.circuit_until - now()) * 1000), 0)::bigint AS circuit_ms,
        coalesce(c.circuit_opened, 0)::integer AS circuit_opened,
        coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS trial,
        CASE WHEN c.probe_until > now() THEN c.probe_id END AS probe_id,
        coalesce(c.gone, false)::boolean AS gone,
        coalesce(c.failing, false)::boolean AS failing
    FROM (SELECT DISTINCT a.subscription_id FROM asked a) x
    JOIN /* TEMPLATE: schema */subscription s ON s.id = x.subscription_id
    LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch
)
SELECT
    u.id, u.subscription_id, (d.id IS NOT NULL)::boolean AS known, coalesce(d.state, '')::text AS state, coalesce(d.hold, '')::text AS hold,
    coalesce(d.attempt_seq, 0)::integer AS attempt_seq, coalesce(m.gone, false)::boolean AS message_gone,
    o.url, o.pending_url, o.owner, o.operator, o.permission, o.headers, o.schedule, o.timeout_ms, o.max_in_flight,
    o.rate_events, o.rate_per_ms, o.rate_burst,
    o.credentials_version, o.url_version, o.state AS subscription_state, o.state_reason, o.epoch AS subscription_epoch,
    o.deleted, o.secrets, o.asked_ms, o.circuit_ms, o.circuit_opened, o.trial,
    coalesce(o.probe_id <> u.id, false)::boolean AS probed,
    coalesce(o.probe_id = u.id, false)::boolean AS probe,
    o.gone, o.failing
FROM asked u
JOIN sub o ON o.id = u.subscription_id
LEFT JOIN /* TEMPLATE: schema */delivery d ON d.id = u.id
LEFT JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect;

-- name: CarriedDeliveries :many
SELECT d.id FROM /* TEMPLATE: schema */delivery d
WHERE d.intent_id = @intent_id AND d.job_id = @job_id::bigint AND d.state = 'pending' AND d.hold = ''
ORDER BY d.subscription_id;
