-- name: TakeTurns :many
-- TakeTurns takes River jobs of a queue by turns of their shares: of each share after the last
-- one that was visited, but for those that have enough, the oldest few. It jumps from share to
-- share in the index. The jobs are running then, as if River had fetched them: it keeps the last
-- hundred processes that have tried a job. What others have locked is skipped. It returns where the
-- next pass begins with the jobs, or alone; nothing where there is no share after the last one. It
-- only picks among what is available: what is due is said by RecordAttempts
-- (queries/delivery_record.sql), by the function job of the schema, and by the others in
-- docs/internals/states.md under "Due".
WITH RECURSIVE visited AS (
    -- The next shares that have a job, by their tags, each with its number.
    (SELECT o.tags[1] COLLATE "C" AS tag, 1 AS n FROM /* TEMPLATE: schema */river_job o
    WHERE o.state = 'available' AND o.queue = sqlc.arg(queue)::text AND o.tags[1] COLLATE "C" > sqlc.arg(after)::text COLLATE "C"
    ORDER BY o.tags[1] COLLATE "C" LIMIT 1)
    UNION ALL
    SELECT (SELECT o.tags[1] COLLATE "C" FROM /* TEMPLATE: schema */river_job o
        WHERE o.state = 'available' AND o.queue = sqlc.arg(queue)::text AND o.tags[1] COLLATE "C" > v.tag COLLATE "C"
        ORDER BY o.tags[1] COLLATE "C" LIMIT 1), v.n + 1
    FROM visited v
    WHERE v.tag IS NOT NULL AND v.n < sqlc.arg(max_shares)::integer
), picked AS MATERIALIZED (
    -- The oldest jobs of those that have not enough.
    SELECT j.id FROM visited v CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.state = 'available' AND o.queue = sqlc.arg(queue)::text AND o.tags[1] COLLATE "C" = v.tag COLLATE "C" AND o.scheduled_at <= now()
        ORDER BY o.scheduled_at, o.id
        LIMIT sqlc.arg(each)::integer
        FOR UPDATE SKIP LOCKED
    ) j
    WHERE v.tag IS NOT NULL AND v.tag <> ALL (sqlc.arg(enough)::text[])
    LIMIT sqlc.arg(max_jobs)::integer
), taken AS (
    UPDATE /* TEMPLATE: schema */river_job j SET
        state = 'running', attempt = j.attempt + 1, attempted_at = now(),
        attempted_by = array_append(
            j.attempted_by[greatest(coalesce(cardinality(j.attempted_by), 0) - 98, 1):], sqlc.arg(process)::text)
    FROM picked p
    WHERE j.id = p.id AND j.state = 'available'
    RETURNING j.id, j.kind, j.args, j.attempt, j.max_attempts, j.tags[1] AS tag, coalesce(cardinality(j.errors), 0) AS failures
), last AS (
    -- Where this pass has ended.
    SELECT max(v.n) FILTER (WHERE v.tag IS NOT NULL) AS shares, max(v.tag) AS tag FROM visited v
)
SELECT coalesce(t.id, 0)::bigint AS id, coalesce(t.kind, '')::text AS kind, coalesce(t.args, '{}')::jsonb AS args,
    coalesce(t.attempt, 0)::integer AS attempt, coalesce(t.max_attempts, 0)::integer AS max_attempts,
    coalesce(t.tag, '')::text AS tag, coalesce(t.failures, 0)::integer AS failures,
    l.tag::text AS last, (l.shares = sqlc.arg(max_shares)::integer)::boolean AS more
FROM last l LEFT JOIN taken t ON true
WHERE l.tag IS NOT NULL;

-- name: CancelledTurns :many
-- CancelledTurns returns those of the jobs of a process whose cancellation was asked for.
SELECT j.id FROM /* TEMPLATE: schema */river_job j
WHERE j.id = ANY (sqlc.arg(ids)::bigint[]) AND j.state = 'running' AND j.metadata ? 'cancel_attempted_at'
    AND j.attempted_by[array_length(j.attempted_by, 1)] = sqlc.arg(process)::text;

-- name: FinishTurns :exec
-- FinishTurns ends runs of jobs that were taken by turns as River would: completed; available or
-- retryable with the error that is appended; discarded after the last attempt; or available
-- without having counted. One whose cancellation was asked for meanwhile does not run again. A job
-- that was handed on to another process, or taken anew, is left alone.
UPDATE /* TEMPLATE: schema */river_job j SET
    state = x.state,
    attempt = j.attempt - CASE WHEN x.uncounted AND x.state <> 'cancelled' THEN 1 ELSE 0 END,
    errors = CASE WHEN x.error IS NULL THEN j.errors ELSE array_append(j.errors, x.error) END,
    finalized_at = CASE WHEN x.state IN ('cancelled', 'completed', 'discarded') THEN now() END,
    scheduled_at = CASE WHEN x.state IN ('available', 'retryable', 'scheduled') THEN now() + x.wait ELSE j.scheduled_at END,
    metadata = CASE WHEN x.snoozed THEN j.metadata || jsonb_build_object('snoozes', coalesce((j.metadata ->> 'snoozes')::integer, 0) + 1) ELSE j.metadata END
FROM (
    SELECT i.id, i.attempt, i.uncounted, i.snoozed, nullif(i.error, '')::jsonb AS error, i.wait_ms * interval '1 millisecond' AS wait,
        CASE WHEN i.state IN ('available', 'retryable', 'scheduled') AND o.metadata ? 'cancel_attempted_at' THEN 'cancelled'
            ELSE i.state END::/* TEMPLATE: schema */river_job_state AS state
    FROM (SELECT
        unnest(sqlc.arg(ids)::bigint[]) AS id,
        unnest(sqlc.arg(attempts)::integer[]) AS attempt,
        unnest(sqlc.arg(states)::text[]) AS state,
        unnest(sqlc.arg(uncounted)::boolean[]) AS uncounted,
        unnest(sqlc.arg(snoozed)::boolean[]) AS snoozed,
        unnest(sqlc.arg(errors)::text[]) AS error,
        unnest(sqlc.arg(wait_ms)::bigint[]) AS wait_ms
    ) i CROSS JOIN LATERAL (
        SELECT r.metadata FROM /* TEMPLATE: schema */river_job r
        WHERE r.id = i.id AND r.state = 'running' AND r.attempt = i.attempt
            AND r.attempted_by[array_length(r.attempted_by, 1)] = sqlc.arg(process)::text
        FOR UPDATE
    ) o
) x
WHERE j.id = x.id;
