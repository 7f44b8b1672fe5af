-- name: LoadDeliveries :many
-- LoadDeliveries loads what an attempt needs, except for the data and the message
-- where they have more than inline bytes: many deliveries of one intent wait for
-- their turn.
SELECT
    d.id, d.intent_id, d.subscription_id, d.dialect, d.epoch, d.state, d.hold, d.round, d.attempt_seq, d.attempts,
    d.interrupted, d.job_id, d.manual, d.at_once, coalesce(d.ended_runs::text, '')::text AS ended_runs,
    coalesce(ceil(extract(epoch FROM now() - d.access_at) * 1000), -1)::bigint AS access_age_ms,
    i.wire_id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel, i.attributes,
    i.schema_version, i.tree_version, i.occurred_at,
    (CASE WHEN octet_length(i.data) <= @inline::integer THEN i.data END)::bytea AS data,
    coalesce(octet_length(i.data) > @inline::integer, false)::boolean AS data_later,
    m.content_type, m.headers AS message_headers, m.gone AS message_gone,
    (CASE WHEN octet_length(m.body) <= @inline::integer THEN m.body END)::bytea AS body,
    coalesce(octet_length(m.body) > @inline::integer, false)::boolean AS body_later,
    s.url, s.owner, s.operator, s.permission, s.headers, s.schedule, s.timeout_ms, s.max_in_flight, s.credentials_version, s.url_version, s.state AS subscription_state,
    s.state_reason, s.epoch AS subscription_epoch, (s.deleted_at IS NOT NULL)::boolean AS deleted,
    ARRAY(
        SELECT uuid_send(k.id) || CASE WHEN k.sealed THEN decode('01', 'hex') ELSE decode('00', 'hex') END || k.value
        FROM /* TEMPLATE: schema */secret k
        WHERE k.subscription_id = d.subscription_id AND k.pending_overlap_ms IS NULL
            AND (k.expires_at IS NULL OR k.expires_at > now())
        ORDER BY k.created_at DESC, k.id DESC
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
        s.credentials_version, s.url_version, s.state, s.state_reason, s.epoch, (s.deleted_at IS NOT NULL)::boolean AS deleted,
        ARRAY(
            SELECT uuid_send(k.id) || CASE WHEN k.sealed THEN decode('01', 'hex') ELSE decode('00', 'hex') END || k.value
            FROM /* TEMPLATE: schema */secret k
            WHERE k.subscription_id = s.id AND k.pending_overlap_ms IS NULL
                AND (k.expires_at IS NULL OR k.expires_at > now())
            ORDER BY k.created_at DESC, k.id DESC
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

-- name: RecordAttempts :many
-- RecordAttempts moves deliveries on and writes their attempts. The fence of a
-- delivery is its attempt_seq: where it has moved on meanwhile only the attempt
-- is written, since a request did go out, in the place of one that was recorded
-- as interrupted because nobody expected its answer any more. Where the delivery goes on later a
-- River job for it is made. Of an attempt whose delivery was erased meanwhile only
-- the outcome is written, and of one whose delivery was pruned nothing: neither
-- pruning nor erasing would find it. Of one that was delivered it returns whether its
-- subscription is failing, by what others have counted meanwhile.
--
-- A row that another transaction has locked, which can be one of the
-- application, is not waited for: it is returned as busy, and nothing of it was
-- written.
WITH item AS MATERIALIZED (
    SELECT i.*, f.place, f.erased, f.state = 'pending' AND f.attempt_seq = i.seq AS fits,
        f.place IS NULL AND EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.id = i.id) AS busy
    FROM (SELECT
        unnest(@ids::text[])::uuid AS id,
        unnest(@seqs::integer[]) AS seq,
        unnest(@states::text[]) AS state,
        unnest(@holds::text[]) AS hold,
        unnest(@reasons::text[]) AS reason,
        unnest(@attempts::integer[]) AS attempts,
        unnest(@interrupted::integer[]) AS interrupted,
        unnest(@due_ms::bigint[]) * interval '1 millisecond' AS wait,
        unnest(@again::boolean[]) AS again,
        unnest(@stay::boolean[]) AS stay,
        unnest(@access_age_ms::bigint[]) AS access_age_ms,
        unnest(@tried::boolean[]) AS tried,
        unnest(@rounds::integer[]) AS round,
        unnest(@numbers::integer[]) AS number,
        unnest(@manuals::boolean[]) AS manual,
        unnest(@outcomes::text[]) AS outcome,
        unnest(@errors::text[]) AS error,
        unnest(@attempt_reasons::text[]) AS attempt_reason,
        unnest(@methods::text[]) AS method,
        unnest(@reason_phrases::text[]) AS reason_phrase,
        unnest(@statuses::integer[]) AS status,
        unnest(@urls::text[]) AS url,
        unnest(@request_headers::text[]) AS request_headers,
        unnest(@response_headers::text[]) AS response_headers,
        unnest(@response_bodies::bytea[]) AS response_body,
        unnest(@response_hashes::bytea[]) AS response_sha256,
        unnest(@response_truncated::boolean[]) AS response_truncated,
        unnest(@retry_after_ms::bigint[]) AS retry_after_ms,
        unnest(@duration_us::bigint[]) AS duration_us,
        unnest(@repeats::integer[]) AS repeats,
        unnest(@started_at::timestamptz[]) AS started_at
    ) i LEFT JOIN LATERAL (
        SELECT d.ctid AS place, d.state, d.attempt_seq, d.erased FROM /* TEMPLATE: schema */delivery d
        WHERE d.id = i.id
        FOR UPDATE SKIP LOCKED
    ) f ON true
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        state = i.state,
        hold = i.hold,
        held_since = CASE WHEN i.hold <> '' THEN now() END,
        retry_at = CASE WHEN i.hold = 'circuit' AND i.attempts > 0 THEN coalesce(d.retry_at, d.due_at, now()) END,
        reason = i.reason,
        attempt_seq = d.attempt_seq + 1,
        attempts = i.attempts,
        interrupted = i.interrupted,
        manual = d.manual AND i.attempts = 0,
        at_once = d.at_once AND NOT i.tried,
        job_id = CASE
            WHEN i.stay THEN d.job_id
            WHEN i.again THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
        END,
        due_at = CASE WHEN i.stay THEN d.due_at WHEN i.again THEN now() + i.wait END,
        access_at = CASE WHEN i.access_age_ms >= 0 THEN now() - i.access_age_ms * interval '1 millisecond' ELSE d.access_at END,
        last_status = CASE WHEN i.tried THEN i.status ELSE d.last_status END,
        last_outcome = CASE WHEN i.tried THEN i.outcome ELSE d.last_outcome END,
        ended_at = CASE WHEN i.state <> 'pending' THEN now() END,
        ended_runs = CASE
            WHEN i.stay THEN jsonb_set(coalesce(d.ended_runs, '{}'), '{unsent}', 'true')
            WHEN NOT i.tried OR i.outcome = 'interrupted' THEN d.ended_runs
        END
    FROM item i
    WHERE d.ctid = i.place AND i.fits
    RETURNING d.id, d.subscription_id, d.epoch, d.state, i.seq, d.job_id, d.due_at, i.again
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at)
    SELECT
        m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver',
        CASE WHEN m.due_at > now() + interval '5 seconds' THEN 'scheduled' ELSE 'available' END::/* TEMPLATE: schema */river_job_state,
        m.due_at
    FROM moved m WHERE m.again
), attempts AS (
    INSERT INTO /* TEMPLATE: schema */attempt AS a (
        delivery_id, seq, round, number, manual, outcome, error, reason, method, status, reason_phrase, url, request_headers, response_headers,
        response_body, response_sha256, response_truncated, retry_after_ms, duration_us, repeats, engine, started_at)
    SELECT
        i.id, i.seq, i.round, i.number, i.manual, i.outcome, CASE WHEN i.erased THEN split_part(i.error, ':', 1) ELSE i.error END,
        i.attempt_reason, i.method, i.status, CASE WHEN i.erased THEN '' ELSE i.reason_phrase END, i.url,
        CASE WHEN i.erased THEN '{}' ELSE i.request_headers END::jsonb,
        CASE WHEN i.erased THEN '{}' ELSE i.response_headers END::jsonb, CASE WHEN i.erased IS NOT TRUE THEN i.response_body END,
        CASE WHEN i.erased IS NOT TRUE THEN i.response_sha256 END, i.response_truncated, i.retry_after_ms, i.duration_us,
        i.repeats, @engine::text, i.started_at
    FROM item i
    WHERE i.tried AND i.place IS NOT NULL
    ON CONFLICT (delivery_id, seq) DO UPDATE SET
        outcome = excluded.outcome, error = excluded.error, reason = excluded.reason, method = excluded.method,
        status = excluded.status, reason_phrase = excluded.reason_phrase, url = excluded.url,
        request_headers = excluded.request_headers, response_headers = excluded.response_headers,
        response_body = excluded.response_body, response_sha256 = excluded.response_sha256, response_truncated = excluded.response_truncated,
        retry_after_ms = excluded.retry_after_ms, duration_us = excluded.duration_us, repeats = excluded.repeats,
        engine = excluded.engine, started_at = excluded.started_at
    WHERE a.outcome = 'interrupted'
)
SELECT m.id, m.seq::integer AS seq, false AS busy,
    (m.state = 'delivered' AND EXISTS (
        SELECT FROM /* TEMPLATE: schema */subscription_health h
        WHERE h.subscription_id = m.subscription_id AND h.epoch = m.epoch AND h.failing_since IS NOT NULL))::boolean AS failing
FROM moved m
UNION ALL
SELECT i.id, i.seq::integer AS seq, true AS busy, false AS failing FROM item i WHERE i.busy;
