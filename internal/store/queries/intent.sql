-- name: LoadIntents :many
-- LoadIntents loads what an expansion needs, except for data of more than inline bytes,
-- and the sizes of the messages that earlier runs have stored with more than that.
SELECT
    i.id, i.wire_id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel,
    i.attributes, i.schema_version, i.occurred_at, i.tree_version, s.state, s.after, s.chain,
    coalesce(t.payloads, '')::text AS type_payloads, coalesce(t.payload_age_ms, 0)::bigint AS type_payload_age_ms,
    coalesce(s.ended_runs::text, '')::text AS ended_runs,
    (CASE WHEN octet_length(i.data) <= @inline::integer THEN i.data END)::bytea AS data,
    (CASE WHEN octet_length(i.data) > @inline::integer THEN octet_length(i.data) ELSE 0 END)::integer AS data_bytes,
    ARRAY(
        SELECT m.dialect FROM /* TEMPLATE: schema */message m
        WHERE (s.state <> 'pending' OR s.after <> '00000000-0000-0000-0000-000000000000')
            AND m.intent_id = i.id AND octet_length(m.body) > @inline::integer
        ORDER BY m.dialect
    )::text[] AS message_dialects,
    ARRAY(
        SELECT octet_length(m.body) FROM /* TEMPLATE: schema */message m
        WHERE (s.state <> 'pending' OR s.after <> '00000000-0000-0000-0000-000000000000')
            AND m.intent_id = i.id AND octet_length(m.body) > @inline::integer
        ORDER BY m.dialect
    )::integer[] AS message_bytes
FROM unnest(@ids::text[]) AS u (id)
JOIN /* TEMPLATE: schema */intent i ON i.id = u.id::uuid
JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
LEFT JOIN /* TEMPLATE: schema */event_type t ON t.name = i.type;

-- name: LoadMessages :many
-- LoadMessages loads the messages of an intent, without the bodies that are here.
SELECT m.dialect, m.content_type, m.headers, (CASE WHEN m.dialect <> ALL (@here::text[]) THEN m.body END)::bytea AS body
FROM /* TEMPLATE: schema */message m WHERE m.intent_id = @intent_id;

-- name: FailIntent :exec
UPDATE /* TEMPLATE: schema */intent_state SET state = 'failed', reason = @reason, ended_at = now()
WHERE intent_id = @intent_id AND job_id = @job_id::bigint AND state = 'pending';

-- name: WatchIntents :one
-- WatchIntents reads the next intents whose jobs carry something, and their deliveries, in
-- the order of when that was due. It ends the watch over those whose jobs carry nothing any
-- more: each first attempt is recorded or handed over. Of the others it returns the
-- expansions and the first attempts whose River job does not do its part, and where the
-- next step begins. That may be among the deliveries of an intent, of which carries
-- says whether a first attempt was found before. No planner turns its sub-selects into a
-- scan of all rows of a table.
WITH watched AS MATERIALIZED (
    -- The next intents, beginning with the one that was read last.
    SELECT s.intent_id, s.due_at, s.state, s.job_id FROM /* TEMPLATE: schema */intent_state s
    WHERE s.due_at <= now() AND (s.due_at, s.intent_id) >= (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid)
    ORDER BY s.due_at, s.intent_id
    LIMIT sqlc.arg(max_rows)::integer
), part AS MATERIALIZED (
    -- Their deliveries, of which first are those that a job of their intent carries. An index of these
    -- alone would have to be changed by each success.
    SELECT w.intent_id, w.due_at, d.subscription_id, d.id, d.job_id, d.first
    FROM watched w CROSS JOIN LATERAL (
        SELECT o.subscription_id, o.id, o.job_id, o.state = 'pending' AND o.hold = '' AND o.due_at IS NULL AS first
        FROM /* TEMPLATE: schema */delivery o
        WHERE o.intent_id = w.intent_id AND o.subscription_id > CASE
            WHEN (w.due_at, w.intent_id) = (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid) THEN sqlc.arg(after_subscription)::uuid
            ELSE '00000000-0000-0000-0000-000000000000' END
        ORDER BY o.subscription_id
        LIMIT sqlc.arg(max_rows)::integer
    ) d
    LIMIT sqlc.arg(max_rows)::integer
), last AS MATERIALIZED (
    -- What was read last: a delivery, or an intent with all of its deliveries.
    (SELECT p.due_at, p.intent_id, p.subscription_id FROM part p
    WHERE (SELECT count(*) FROM part) = sqlc.arg(max_rows)::integer
    ORDER BY p.due_at DESC, p.intent_id DESC, p.subscription_id DESC
    LIMIT 1)
    UNION ALL
    (SELECT w.due_at, w.intent_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid FROM watched w
    WHERE (SELECT count(*) FROM part) < sqlc.arg(max_rows)::integer
    ORDER BY w.due_at DESC, w.intent_id DESC
    LIMIT 1)
), seen AS MATERIALIZED (
    -- The intents that were read. Of those that are whole no delivery is left to be read.
    SELECT w.intent_id, w.due_at, w.state, w.job_id,
        (w.due_at, w.intent_id) < (l.due_at, l.intent_id) OR l.subscription_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff' AS whole
    FROM watched w JOIN last l ON (w.due_at, w.intent_id) <= (l.due_at, l.intent_id)
), closed AS (
    -- Those that carry nothing, unless they have changed meanwhile or somebody has locked them.
    UPDATE /* TEMPLATE: schema */intent_state s SET due_at = NULL
    FROM (
        SELECT o.row_ctid FROM seen n CROSS JOIN LATERAL (
            SELECT x.ctid AS row_ctid FROM /* TEMPLATE: schema */intent_state x
            WHERE x.intent_id = n.intent_id AND x.due_at = n.due_at AND x.state <> 'pending'
            FOR UPDATE SKIP LOCKED
        ) o
        WHERE n.state <> 'pending' AND n.whole AND n.intent_id NOT IN (SELECT p.intent_id FROM part p WHERE p.first)
            AND NOT (sqlc.arg(carries)::boolean AND (n.due_at, n.intent_id) = (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid))
    ) c
    WHERE s.ctid = c.row_ctid
    RETURNING s.intent_id
)
SELECT
    ARRAY(
        SELECT n.intent_id
        FROM seen n
        LEFT JOIN LATERAL (
            SELECT o.id, o.state, o.scheduled_at FROM /* TEMPLATE: schema */river_job o WHERE o.id = n.job_id OFFSET 0
        ) j ON true
        WHERE n.state = 'pending' AND n.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
            AND /* TEMPLATE: schema */job_lost(j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
    )::uuid[] AS lost_expansions,
    ARRAY(
        SELECT p.id
        FROM part p
        LEFT JOIN LATERAL (
            SELECT o.id, o.state, o.scheduled_at FROM /* TEMPLATE: schema */river_job o WHERE o.id = p.job_id OFFSET 0
        ) j ON true
        WHERE p.first AND p.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
            AND /* TEMPLATE: schema */job_lost(j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
    )::uuid[] AS lost_deliveries,
    (SELECT count(*) FROM closed)::integer AS closed,
    ((SELECT count(*) FROM seen n WHERE n.intent_id NOT IN (SELECT c.intent_id FROM closed c))
        + (SELECT count(*) FROM part p WHERE p.intent_id NOT IN (SELECT c.intent_id FROM closed c)))::integer AS idle,
    ((SELECT count(*) FROM watched) < sqlc.arg(max_rows)::integer AND (SELECT count(*) FROM part) < sqlc.arg(max_rows)::integer)::boolean AS is_end,
    coalesce((SELECT l.due_at FROM last l), sqlc.arg(after_at)::timestamptz)::timestamptz AS last_at,
    coalesce((SELECT l.intent_id FROM last l), sqlc.arg(after)::uuid)::uuid AS last,
    coalesce((SELECT l.subscription_id FROM last l), sqlc.arg(after_subscription)::uuid)::uuid AS last_subscription,
    (EXISTS (SELECT FROM part p JOIN last l USING (intent_id) WHERE p.first) OR sqlc.arg(carries)::boolean AND EXISTS (
        SELECT FROM last l WHERE (l.due_at, l.intent_id) = (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid)))::boolean AS last_carries;

-- name: ReconcileIntents :many
-- ReconcileIntents does for expansions what ReconcileDeliveries does for deliveries.
-- A new job takes up where the expansion stands.
WITH lost AS (
    -- Those that are still lost; those that somebody has locked are skipped.
    SELECT d.intent_id, d.after, d.old_job_id, d.cancelled, d.waits,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT unnest(@ids::text[])::uuid AS intent_id) due CROSS JOIN LATERAL (
        SELECT s.intent_id, s.after, s.job_id AS old_job_id, coalesce(j.state = 'cancelled', false) AS cancelled,
            coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
        FROM /* TEMPLATE: schema */intent_state s
        LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = s.job_id
        WHERE s.intent_id = due.intent_id AND s.state = 'pending'
            AND /* TEMPLATE: schema */job_lost(
                j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
        FOR UPDATE OF s SKIP LOCKED
    ) d
), late AS (
    -- The jobs that wait begin now.
    SELECT l.intent_id FROM lost l WHERE l.waits AND /* TEMPLATE: schema */job_hasten(l.old_job_id)
), moved AS (
    -- The expansions whose job does not wait get another one, or end with it.
    UPDATE /* TEMPLATE: schema */intent_state s SET
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE s.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        due_at = now(),
        job_id = CASE WHEN l.cancelled THEN s.job_id ELSE l.job_id END
    FROM lost l
    WHERE s.intent_id = l.intent_id AND s.state = 'pending' AND NOT l.waits
    RETURNING s.intent_id, s.job_id, s.state, l.after
), job AS (
    -- The new jobs.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_chunk(m.intent_id, m.after, i.share, now()) j WHERE m.state = 'pending'
)
SELECT m.intent_id FROM moved m UNION ALL SELECT late.intent_id FROM late;

-- name: RetryFailedIntent :many
-- RetryFailedIntent takes up an expansion where it failed or was cancelled, and
-- the decisions of an intent that have failed. job_id fences the expansion, so
-- that an older job of it cannot fail it again.
WITH picked AS MATERIALIZED (
    SELECT i.id, s.state, coalesce(i.gone, '') AS gone
    FROM /* TEMPLATE: schema */intent i JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
    WHERE i.wire_id = @wire_id
    FOR UPDATE OF i, s
), expansion AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET
        state = 'pending', reason = '', tries = 0, ended_at = NULL, ended_runs = NULL, due_at = now(),
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM picked p
    WHERE s.intent_id = p.id AND p.gone = '' AND s.state IN ('failed', 'cancelled')
    RETURNING s.intent_id, s.after, s.job_id
), expand_job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT x.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM expansion x
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = x.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_chunk(x.intent_id, x.after, i.share, now()) j
), decide_job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM picked p
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = p.id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(p.id, i.share, now()) j
    WHERE p.gone = '' AND EXISTS (
        SELECT FROM /* TEMPLATE: schema */decision d WHERE d.intent_id = p.id AND d.outcome IN ('failed', 'filter_error'))
    RETURNING id
), decisions AS (
    UPDATE /* TEMPLATE: schema */decision d SET
        outcome = 'waiting', tries = 0, ended_runs = NULL, job_id = j.id, due_at = now(), decided_at = now(), held_since = NULL
    FROM picked p, decide_job j
    WHERE d.intent_id = p.id AND d.outcome IN ('failed', 'filter_error')
    RETURNING d.subscription_id
)
SELECT p.gone::text AS gone, ((SELECT count(*) FROM expansion) + (SELECT count(*) FROM decisions))::integer AS retried FROM picked p;

-- name: FailedIntents :one
-- FailedIntents looks through the next intents, oldest first, and returns the wire ids
-- of those of which something has failed that can be run again. It returns where the
-- next step begins.
WITH seen AS MATERIALIZED (
    SELECT i.id, i.wire_id, i.gone, s.state
    FROM /* TEMPLATE: schema */intent i
    JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
    WHERE i.id > sqlc.arg(after)::uuid AND i.id < sqlc.arg(before)::uuid
        AND (sqlc.arg(type_regex)::text = '' OR i.type ~ sqlc.arg(type_regex)::text)
        AND (sqlc.arg(channel)::text = '' OR i.channel = sqlc.arg(channel)::text)
        AND (sqlc.arg(site)::text = '' OR i.site = sqlc.arg(site)::text)
        AND (sqlc.arg(under)::text = '' OR i.site = sqlc.arg(under)::text OR starts_with(i.site, sqlc.arg(under)::text || '/'))
        AND (sqlc.arg(resource_kind)::text = '' OR i.resource_kind = sqlc.arg(resource_kind)::text AND i.resource_kind <> '')
        AND (sqlc.arg(resource_id)::text = '' OR i.resource_id = sqlc.arg(resource_id)::text)
        AND (sqlc.arg(state)::text = '' OR s.state = sqlc.arg(state)::text)
        AND (sqlc.narg(since)::timestamptz IS NULL OR i.created_at >= sqlc.narg(since)::timestamptz)
        AND (sqlc.narg(until)::timestamptz IS NULL OR i.created_at < sqlc.narg(until)::timestamptz)
    ORDER BY i.id
    LIMIT sqlc.arg(max_rows)::integer
)
SELECT
    ARRAY(
        SELECT n.wire_id FROM seen n
        WHERE n.gone IS NULL AND (n.state IN ('failed', 'cancelled') OR EXISTS (
            SELECT FROM /* TEMPLATE: schema */decision d
            WHERE d.intent_id = n.id AND d.outcome IN ('failed', 'filter_error')))
        ORDER BY n.id
    )::text[] AS wire_ids,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.id FROM seen n ORDER BY n.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;
