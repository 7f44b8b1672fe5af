-- name: WatchDeliveries :one
-- WatchDeliveries reads the next deliveries that are due, in the order of that, and returns those
-- whose River job does not do its part, and where the next step begins. No planner turns its
-- sub-selects into a scan of all jobs.
WITH due AS MATERIALIZED (
    SELECT d.id, d.due_at, d.job_id FROM /* TEMPLATE: schema */delivery d
    WHERE d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (d.due_at, d.id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid)
    ORDER BY d.due_at, d.id
    LIMIT sqlc.arg(max_rows)::integer
)
SELECT
    ARRAY(
        SELECT d.id
        FROM due d
        LEFT JOIN LATERAL (
            SELECT o.id, o.state, o.scheduled_at FROM /* TEMPLATE: schema */river_job o WHERE o.id = d.job_id OFFSET 0
        ) j ON true
        WHERE /* TEMPLATE: schema */job_lost(j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
    )::uuid[] AS lost,
    (SELECT count(*) FROM due)::integer AS seen,
    coalesce((SELECT d.due_at FROM due d ORDER BY d.due_at DESC, d.id DESC LIMIT 1), sqlc.arg(after_at)::timestamptz)::timestamptz AS last_at,
    coalesce((SELECT d.id FROM due d ORDER BY d.due_at DESC, d.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: ReconcileDeliveries :many
-- ReconcileDeliveries makes new jobs for those of the deliveries whose River job does not
-- do its part. Where it does not live any more, cancelled by hand ends the delivery, and
-- anything else makes a new job. Where it should have begun, or is to begin much later than
-- any of ours that waits, a clock was wrong, and it begins now.
WITH lost AS (
    -- Those that are still lost; those that somebody has locked are skipped.
    SELECT d.id, d.attempt_seq, d.old_job_id, d.cancelled, d.waits,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT unnest(@ids::text[])::uuid AS id) due CROSS JOIN LATERAL (
        SELECT o.id, o.attempt_seq, o.job_id AS old_job_id, coalesce(j.state = 'cancelled', false) AS cancelled,
            coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
        FROM /* TEMPLATE: schema */delivery o
        LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = o.job_id
        WHERE o.id = due.id AND o.state = 'pending' AND o.hold = ''
            AND /* TEMPLATE: schema */job_lost(
                j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
        FOR UPDATE OF o SKIP LOCKED
    ) d
), late AS (
    -- The jobs that wait begin now.
    SELECT l.id FROM lost l WHERE l.waits AND /* TEMPLATE: schema */job_hasten(l.old_job_id)
), moved AS (
    -- The deliveries whose job does not wait get another one, or end with it.
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1,
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE d.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        due_at = CASE WHEN NOT l.cancelled THEN now() END,
        job_id = CASE WHEN NOT l.cancelled THEN l.job_id END
    FROM lost l
    WHERE d.id = l.id AND d.state = 'pending' AND d.attempt_seq = l.attempt_seq AND NOT l.waits
    RETURNING d.id, d.intent_id, d.job_id
), job AS (
    -- The new jobs.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, i.share, now()) j WHERE m.job_id IS NOT NULL
)
SELECT m.id FROM moved m UNION ALL SELECT late.id FROM late;
