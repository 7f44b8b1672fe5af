-- name: LoadWaiting :many
-- LoadWaiting loads decisions that wait for one job, those first that have
-- waited longest, so that all get their turn when they are more than max.
SELECT d.subscription_id, d.matched_site, d.matched_pattern, d.tries,
    (extract(epoch FROM now() - d.created_at) * 1000)::bigint AS age_ms, coalesce(d.ended_runs::text, '')::text AS ended_runs
FROM /* TEMPLATE: schema */decision d
WHERE d.intent_id = @intent_id AND d.outcome = 'waiting' AND d.job_id = @job_id::bigint
ORDER BY d.decided_at, d.subscription_id
LIMIT @max::integer;

-- name: ScheduleDecide :exec
-- ScheduleDecide makes the job that tries again what one job has left waiting of the
-- decisions for these subscriptions, or of all where none is named, if there is
-- anything. Steps that were given up stay so.
WITH left_over AS MATERIALIZED (
    SELECT o.subscription_id FROM /* TEMPLATE: schema */decision o
    WHERE o.intent_id = sqlc.arg(intent_id)::uuid AND o.outcome = 'waiting' AND o.job_id = sqlc.arg(job_id)::bigint
        AND (cardinality(sqlc.arg(subscriptions)::text[]) = 0 OR o.subscription_id = ANY ((sqlc.arg(subscriptions)::text[])::uuid[]))
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM (SELECT sqlc.arg(intent_id)::uuid AS intent_id) w
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = w.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(
        w.intent_id, i.share, now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond') j
    WHERE EXISTS (SELECT FROM left_over)
    RETURNING id, scheduled_at
)
UPDATE /* TEMPLATE: schema */decision d
SET job_id = job.id, due_at = job.scheduled_at, ended_runs = nullif(sqlc.arg(ended_runs)::text, '')::jsonb
FROM job, left_over l
WHERE d.intent_id = sqlc.arg(intent_id)::uuid AND d.subscription_id = l.subscription_id AND d.outcome = 'waiting'
    AND d.job_id = sqlc.arg(job_id)::bigint;

-- name: ReconcileDecisions :many
-- ReconcileDecisions does for decisions that wait what ReconcileDeliveries does for
-- deliveries, except that a cancelled job is replaced as well: a decision has no end of
-- its own.
WITH lost AS (
    SELECT d.intent_id, d.subscription_id, d.job_id AS old_job_id,
        coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
    FROM /* TEMPLATE: schema */decision d
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = d.job_id
    WHERE d.outcome = 'waiting' AND d.due_at IS NOT NULL
        AND d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND /* TEMPLATE: schema */job_lost(
            j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
    ORDER BY d.due_at
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF d SKIP LOCKED
), late AS (
    SELECT l.intent_id
    FROM (SELECT DISTINCT lost.old_job_id, lost.intent_id FROM lost WHERE lost.waits) l
    WHERE /* TEMPLATE: schema */job_hasten(l.old_job_id)
), numbered AS (
    SELECT i.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT DISTINCT l.intent_id FROM lost l WHERE NOT l.waits) i
), moved AS (
    UPDATE /* TEMPLATE: schema */decision d SET job_id = n.job_id, due_at = now()
    FROM lost l JOIN numbered n USING (intent_id)
    WHERE d.intent_id = l.intent_id AND d.subscription_id = l.subscription_id AND d.outcome = 'waiting'
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT n.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM numbered n
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = n.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(n.intent_id, i.share, now()) j
)
SELECT n.intent_id FROM numbered n UNION ALL SELECT late.intent_id FROM late;

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
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(m.intent_id, i.share, now()) j
)
SELECT count(*)::integer AS moved FROM moved m;
