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
    INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue, scheduled_at)
    SELECT jsonb_build_object('intent_id', sqlc.arg(intent_id)::uuid), 'riverhook_decide', 1000, 'chunk',
        now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond'
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
        AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded')
            OR j.state IN ('retryable', 'scheduled') AND j.scheduled_at < now() - interval '15 seconds'
            OR j.state <> 'running' AND j.scheduled_at > now() + interval '2 minutes')
    ORDER BY d.due_at
    LIMIT 500
    FOR UPDATE OF d SKIP LOCKED
), late AS (
    UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
    FROM (SELECT DISTINCT lost.old_job_id, lost.intent_id FROM lost) l
    WHERE j.id = l.old_job_id AND j.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.id IN (SELECT lost.old_job_id FROM lost) AND o.state IN ('available', 'retryable', 'scheduled')
        FOR UPDATE SKIP LOCKED)
    RETURNING l.intent_id
), numbered AS (
    SELECT i.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT DISTINCT l.intent_id FROM lost l WHERE NOT l.waits) i
), moved AS (
    UPDATE /* TEMPLATE: schema */decision d SET job_id = n.job_id, due_at = now()
    FROM lost l JOIN numbered n USING (intent_id)
    WHERE d.intent_id = l.intent_id AND d.subscription_id = l.subscription_id AND d.outcome = 'waiting'
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT n.job_id, jsonb_build_object('intent_id', n.intent_id), 'riverhook_decide', 1000, 'chunk'
    FROM numbered n
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
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('intent_id', m.intent_id), 'riverhook_decide', 1000, 'chunk'
    FROM moved m
)
SELECT count(*)::integer AS moved FROM moved m;
