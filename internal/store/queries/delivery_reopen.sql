-- name: Redeliver :many
-- Redeliver opens a new round of a delivery that has ended, or lets a pending one that
-- waits, but not for a rate, be tried now, or returns why it cannot. A delivery of an earlier epoch has
-- ended, though it says so only when its turn comes. A paused subscription holds the
-- new round at once; one that is not in force gets none, and neither does a delivery
-- whose message is gone, or a question. The state is that of the locked row: the
-- delivery may have ended, or become due, after the statement began.
WITH picked AS MATERIALIZED (
    SELECT
        d.id, d.state = 'pending' AND d.epoch = s.epoch AS pending, starts_with(d.matched_pattern, 'before:') AS question,
        s.epoch, s.state AS subscription_state, (s.deleted_at IS NOT NULL)::boolean AS deleted, d.erased, m.gone,
        NOT starts_with(d.matched_pattern, 'before:') AND NOT d.erased AND NOT m.gone AND s.deleted_at IS NULL AND s.state IN ('active', 'paused') AS fit,
        s.state = 'active' AND d.hold <> 'rate' AS fast, d.hold, d.due_at
    FROM /* TEMPLATE: schema */delivery d
    JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect
    JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
    WHERE d.id = @id
    FOR UPDATE OF d FOR KEY SHARE OF m
), opened AS (
    SELECT o.id FROM /* TEMPLATE: schema */reopen_deliveries(ARRAY(SELECT p.id FROM picked p WHERE p.fit AND NOT p.pending), true) o (id)
), hastened AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, at_once = true, hold = '', held_since = NULL, retry_at = NULL, reason = '', due_at = now(),
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM picked p
    WHERE d.id = p.id AND p.fit AND p.pending AND p.fast AND (p.hold <> '' OR p.due_at > clock_timestamp())
    RETURNING d.id, d.intent_id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT h.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM hastened h
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = h.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(h.id, i.share, now()) j
), moved AS (
    SELECT o.id FROM opened o UNION ALL SELECT h.id FROM hastened h
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
    SELECT o.id FROM /* TEMPLATE: schema */reopen_deliveries(ARRAY(SELECT p.id FROM picked p), false) o (id)
)
SELECT
    (SELECT count(*) FROM moved)::integer AS moved,
    (SELECT count(*) FROM picked)::integer AS picked,
    coalesce((SELECT p.id FROM picked p ORDER BY p.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: SubscriptionStates :many
SELECT s.state, (s.deleted_at IS NOT NULL)::boolean AS deleted FROM /* TEMPLATE: schema */subscription s WHERE s.id = @id;
