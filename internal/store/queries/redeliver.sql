-- name: Redeliver :many
-- Redeliver opens a new round of a delivery that has ended, or lets a pending one that
-- waits be tried now, or returns why it cannot. A delivery of an earlier epoch has
-- ended, though it says so only when its turn comes. A paused subscription holds the
-- new round at once; one that is not in force gets none, and neither does a delivery
-- whose message is gone, or a question. The state is that of the locked row: the
-- delivery may have ended after the statement began.
WITH picked AS MATERIALIZED (
    SELECT
        d.id, d.state = 'pending' AND d.epoch = s.epoch AS pending, starts_with(d.matched_pattern, 'before:') AS question,
        s.epoch, s.state AS subscription_state, (s.deleted_at IS NOT NULL)::boolean AS deleted, d.erased, m.gone,
        NOT starts_with(d.matched_pattern, 'before:') AND NOT d.erased AND NOT m.gone AND s.deleted_at IS NULL AND s.state IN ('active', 'paused') AS fit,
        s.state = 'active' AND (d.hold <> '' OR d.due_at > clock_timestamp()) AS waits
    FROM /* TEMPLATE: schema */delivery d
    JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect
    JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
    WHERE d.id = @id
    FOR UPDATE OF d FOR KEY SHARE OF m
), opened AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'pending', round = d.round + 1, attempts = 0, interrupted = 0,
        manual = true, at_once = true, epoch = p.epoch, reason = '', ended_at = NULL, ended_runs = NULL, retry_at = NULL,
        due_at = CASE WHEN p.subscription_state <> 'paused' THEN now() END,
        hold = CASE WHEN p.subscription_state = 'paused' THEN 'paused' ELSE '' END,
        held_since = CASE WHEN p.subscription_state = 'paused' THEN now() END,
        job_id = CASE WHEN p.subscription_state <> 'paused' THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) END
    FROM picked p
    WHERE d.id = p.id AND p.fit AND NOT p.pending
    RETURNING d.id, d.job_id
), hastened AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, at_once = true, hold = '', held_since = NULL, retry_at = NULL, reason = '', due_at = now(),
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM picked p
    WHERE d.id = p.id AND p.fit AND p.pending AND p.waits
    RETURNING d.id, d.job_id
), moved AS (
    SELECT o.id, o.job_id FROM opened o UNION ALL SELECT h.id, h.job_id FROM hastened h
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m WHERE m.job_id IS NOT NULL
)
SELECT p.pending::boolean AS pending, p.question, p.subscription_state, p.deleted, p.erased, p.gone, (m.id IS NOT NULL)::boolean AS moved
FROM picked p LEFT JOIN moved m ON m.id = p.id;

-- name: RecoverDeliveries :one
-- RecoverDeliveries takes the next step through the ended deliveries of a
-- subscription, oldest first, as far as their messages are there and they are no
-- questions. Those that a deactivation is about to cancel count as cancelled. It
-- returns where the next one begins.
WITH picked AS MATERIALIZED (
    SELECT d.id, s.epoch, s.state = 'paused' AS paused
    FROM /* TEMPLATE: schema */delivery d
    JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect
    JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
    WHERE d.subscription_id = sqlc.arg(subscription_id) AND d.id > sqlc.arg(after)::uuid AND d.id < sqlc.arg(before)::uuid
        AND NOT starts_with(d.matched_pattern, 'before:')
        AND (d.state <> 'pending' OR d.epoch < s.epoch)
        AND CASE d.state WHEN 'pending' THEN 'cancelled' ELSE d.state END = ANY (sqlc.arg(states)::text[])
        AND (sqlc.narg(since)::timestamptz IS NULL OR d.created_at >= sqlc.narg(since)::timestamptz)
        AND (sqlc.narg(until)::timestamptz IS NULL OR d.created_at < sqlc.narg(until)::timestamptz)
        AND NOT d.erased AND NOT m.gone AND s.deleted_at IS NULL AND s.state IN ('active', 'paused')
    ORDER BY d.id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF d SKIP LOCKED FOR KEY SHARE OF m
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'pending', round = d.round + 1, attempts = 0, interrupted = 0,
        manual = true, at_once = false, epoch = p.epoch, reason = '', ended_at = NULL, ended_runs = NULL, retry_at = NULL,
        due_at = CASE WHEN NOT p.paused THEN now() END,
        hold = CASE WHEN p.paused THEN 'paused' ELSE '' END,
        held_since = CASE WHEN p.paused THEN now() END,
        job_id = CASE WHEN NOT p.paused THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) END
    FROM picked p
    WHERE d.id = p.id AND (d.state <> 'pending' OR d.epoch < p.epoch)
    RETURNING d.id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m WHERE m.job_id IS NOT NULL
)
SELECT
    (SELECT count(*) FROM moved)::integer AS moved,
    (SELECT count(*) FROM picked)::integer AS picked,
    coalesce((SELECT p.id FROM picked p ORDER BY p.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: RecoverInactive :one
-- RecoverInactive lets the oldest decisions of a subscription wait that were made
-- while it was not in force, each for a River job that makes it anew. Those about
-- questions stay: what was asked then is decided by now.
WITH picked AS MATERIALIZED (
    SELECT c.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM /* TEMPLATE: schema */decision c
    JOIN /* TEMPLATE: schema */intent i ON i.id = c.intent_id
    JOIN /* TEMPLATE: schema */subscription s ON s.id = c.subscription_id
    WHERE c.subscription_id = sqlc.arg(subscription_id) AND c.outcome = 'inactive' AND i.gone IS NULL
        AND NOT starts_with(c.matched_pattern, 'before:') AND s.deleted_at IS NULL AND s.state <> 'deactivated'
        AND (sqlc.narg(since)::timestamptz IS NULL OR c.created_at >= sqlc.narg(since)::timestamptz)
        AND (sqlc.narg(until)::timestamptz IS NULL OR c.created_at < sqlc.narg(until)::timestamptz)
    ORDER BY c.intent_id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF c SKIP LOCKED FOR KEY SHARE OF i
), moved AS (
    UPDATE /* TEMPLATE: schema */decision c SET
        outcome = 'waiting', reason = '', tries = 0, ended_runs = NULL, job_id = p.job_id, due_at = now(), decided_at = now()
    FROM picked p
    WHERE c.intent_id = p.intent_id AND c.subscription_id = sqlc.arg(subscription_id) AND c.outcome = 'inactive'
    RETURNING c.intent_id, c.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('intent_id', m.intent_id), 'riverhook_decide', 1000, 'chunk'
    FROM moved m
)
SELECT count(*)::integer AS moved FROM moved m;

-- name: SubscriptionStates :many
SELECT s.state, (s.deleted_at IS NOT NULL)::boolean AS deleted FROM /* TEMPLATE: schema */subscription s WHERE s.id = @id;

-- name: CancelDelivery :many
-- CancelDelivery ends a delivery. Its River job, if any, finds it ended and does
-- nothing.
WITH picked AS MATERIALIZED (
    SELECT d.id, d.state FROM /* TEMPLATE: schema */delivery d WHERE d.id = @id FOR UPDATE
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'cancelled', reason = @reason, hold = '', held_since = NULL, job_id = NULL,
        due_at = NULL, ended_at = now()
    FROM picked p
    WHERE d.id = p.id AND p.state = 'pending'
)
SELECT p.state FROM picked p;

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
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT x.job_id, jsonb_build_object('intent_id', x.intent_id, 'after_id', x.after), 'riverhook_chunk', 1000, 'chunk'
    FROM expansion x
), decide_job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue)
    SELECT jsonb_build_object('intent_id', p.id), 'riverhook_decide', 1000, 'chunk'
    FROM picked p
    WHERE p.gone = '' AND EXISTS (
        SELECT FROM /* TEMPLATE: schema */decision d WHERE d.intent_id = p.id AND d.outcome IN ('failed', 'filter_error'))
    RETURNING id
), decisions AS (
    UPDATE /* TEMPLATE: schema */decision d SET
        outcome = 'waiting', tries = 0, ended_runs = NULL, job_id = j.id, due_at = now(), decided_at = now()
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

-- name: EndWaits :one
-- EndWaits closes the circuit of the URL of an active subscription, and ends the wait
-- that its endpoint has asked for. It returns the epoch, and how many deliveries that
-- lets go on; none where the URL is another by now.
WITH picked AS MATERIALIZED (
    SELECT s.id, s.epoch FROM /* TEMPLATE: schema */subscription s
    WHERE s.id = sqlc.arg(subscription_id) AND s.url_version = sqlc.arg(url_version) AND s.state = 'active' AND s.deleted_at IS NULL
), ended AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        asked_until = NULL, circuit_until = NULL, circuit_opened = 0, probe_id = NULL, probe_until = NULL
    FROM picked p
    WHERE h.subscription_id = p.id AND h.epoch = p.epoch
)
SELECT
    coalesce((SELECT p.epoch FROM picked p), 0)::integer AS epoch,
    (SELECT count(*) FROM picked p JOIN /* TEMPLATE: schema */delivery d ON d.subscription_id = p.id WHERE d.hold = 'circuit')::integer AS held;

-- name: HoldRetries :one
-- HoldRetries lets the next retries of a subscription that are planned wait for nothing
-- but their turn, in the order of their ids. It returns where the next step begins.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o
    WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.id > sqlc.arg(after)::uuid AND o.epoch = sqlc.arg(epoch)
        AND o.state = 'pending' AND o.hold = '' AND o.due_at > now()
    ORDER BY o.id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = 'slots', held_since = now(), due_at = NULL, job_id = NULL, reason = sqlc.arg(reason)
    FROM picked p
    WHERE d.id = p.id AND d.state = 'pending' AND d.hold = ''
    RETURNING d.id
)
SELECT
    (SELECT count(*) FROM moved)::integer AS moved,
    (SELECT count(*) FROM picked)::integer AS picked,
    coalesce((SELECT p.id FROM picked p ORDER BY p.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;
