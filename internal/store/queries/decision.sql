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

-- name: WatchDecisions :one
-- WatchDecisions does for decisions that wait what WatchDeliveries does for deliveries.
WITH due AS MATERIALIZED (
    SELECT d.intent_id, d.subscription_id, d.due_at, d.job_id FROM /* TEMPLATE: schema */decision d
    WHERE d.outcome = 'waiting' AND d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (d.due_at, d.intent_id, d.subscription_id)
            > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid, sqlc.arg(after_subscription)::uuid)
    ORDER BY d.due_at, d.intent_id, d.subscription_id
    LIMIT sqlc.arg(max_rows)::integer
), lost AS MATERIALIZED (
    SELECT d.intent_id, d.subscription_id
    FROM due d
    LEFT JOIN LATERAL (
        SELECT o.id, o.state, o.scheduled_at FROM /* TEMPLATE: schema */river_job o WHERE o.id = d.job_id OFFSET 0
    ) j ON true
    WHERE /* TEMPLATE: schema */job_lost(j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
), last AS MATERIALIZED (
    SELECT d.due_at, d.intent_id, d.subscription_id FROM due d
    ORDER BY d.due_at DESC, d.intent_id DESC, d.subscription_id DESC
    LIMIT 1
)
SELECT
    ARRAY(SELECT l.intent_id FROM lost l)::uuid[] AS lost_intents,
    ARRAY(SELECT l.subscription_id FROM lost l)::uuid[] AS lost_subscriptions,
    (SELECT count(*) FROM due)::integer AS seen,
    coalesce((SELECT l.due_at FROM last l), sqlc.arg(after_at)::timestamptz)::timestamptz AS last_at,
    coalesce((SELECT l.intent_id FROM last l), sqlc.arg(after)::uuid)::uuid AS last,
    coalesce((SELECT l.subscription_id FROM last l), sqlc.arg(after_subscription)::uuid)::uuid AS last_subscription;

-- name: ReconcileDecisions :many
-- ReconcileDecisions does for decisions that wait what ReconcileDeliveries does for
-- deliveries, except that a cancelled job is replaced as well: a decision has no end of
-- its own.
WITH lost AS (
    -- Those that are still lost; those that somebody has locked are skipped.
    SELECT d.intent_id, d.subscription_id, d.old_job_id, d.waits
    FROM (SELECT unnest(@intents::text[])::uuid AS intent_id, unnest(@subscriptions::text[])::uuid AS subscription_id) due
    CROSS JOIN LATERAL (
        SELECT o.intent_id, o.subscription_id, o.job_id AS old_job_id,
            coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
        FROM /* TEMPLATE: schema */decision o
        LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = o.job_id
        WHERE o.intent_id = due.intent_id AND o.subscription_id = due.subscription_id AND o.outcome = 'waiting' AND o.due_at IS NOT NULL
            AND /* TEMPLATE: schema */job_lost(
                j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
        FOR UPDATE OF o SKIP LOCKED
    ) d
), late AS (
    -- The jobs that wait begin now.
    SELECT l.intent_id
    FROM (SELECT DISTINCT lost.old_job_id, lost.intent_id FROM lost WHERE lost.waits) l
    WHERE /* TEMPLATE: schema */job_hasten(l.old_job_id)
), numbered AS (
    -- The others get one for all decisions of an intent.
    SELECT i.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT DISTINCT l.intent_id FROM lost l WHERE NOT l.waits) i
), moved AS (
    -- The decisions know it.
    UPDATE /* TEMPLATE: schema */decision d SET job_id = n.job_id, due_at = now()
    FROM lost l JOIN numbered n USING (intent_id)
    WHERE d.intent_id = l.intent_id AND d.subscription_id = l.subscription_id AND d.outcome = 'waiting'
), job AS (
    -- The new jobs.
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
        outcome = 'waiting', reason = '', tries = 0, ended_runs = NULL, job_id = p.job_id, due_at = now(), decided_at = now(), held_since = NULL
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
