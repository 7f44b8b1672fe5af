-- name: ClaimDueJobs :many
-- ClaimDueJobs takes River jobs as a River client would, for who runs them
-- without one, of its queues.
UPDATE /* TEMPLATE: schema */river_job j SET
    state = 'running', attempt = j.attempt + 1, attempted_at = now(),
    attempted_by = array_append(coalesce(j.attempted_by, '{}'), sqlc.arg(process)::text)
WHERE j.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */river_job o
    WHERE o.queue = ANY (@queues::text[]) AND o.state IN ('available', 'retryable', 'scheduled')
        AND o.scheduled_at <= now() + sqlc.arg(ahead_ms)::bigint * interval '1 millisecond'
    ORDER BY o.scheduled_at, o.id
    LIMIT 100
    FOR UPDATE SKIP LOCKED)
RETURNING j.id, j.kind, j.args, j.attempt, coalesce(cardinality(j.errors), 0)::integer AS failures;

-- name: FinishJob :exec
UPDATE /* TEMPLATE: schema */river_job j SET
    state = CASE WHEN sqlc.arg(done)::boolean THEN 'completed' ELSE 'retryable' END::/* TEMPLATE: schema */river_job_state,
    finalized_at = CASE WHEN sqlc.arg(done)::boolean THEN now() END,
    attempt = CASE WHEN sqlc.arg(done)::boolean THEN j.attempt ELSE j.attempt - 1 END,
    scheduled_at = CASE WHEN sqlc.arg(done)::boolean THEN j.scheduled_at ELSE now() + interval '1 second' END
WHERE j.id = sqlc.arg(id) AND j.state = 'running';
