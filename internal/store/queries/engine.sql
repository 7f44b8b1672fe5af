-- name: Beat :exec
INSERT INTO /* TEMPLATE: schema */engine (id) VALUES (@id)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now();

-- name: RemoveEngine :exec
-- RemoveEngine takes the heartbeat of an engine that has ended, and hands on what
-- River could not complete for it.
WITH gone AS (
    DELETE FROM /* TEMPLATE: schema */engine WHERE engine.id = sqlc.arg(id)::text
)
UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] = sqlc.arg(id)::text;

-- name: ReleaseRunningJobs :execrows
-- ReleaseRunningJobs hands running jobs that nobody works on to the living: those
-- of engines without a heartbeat; those that River names this engine for, last in
-- attempted_by, and that it does not know of, because the answer that carried
-- them here was lost or an earlier process had its name; and those that run for
-- longer than a job can. One whose cancellation its engine did not live to see is
-- cancelled.
WITH dead AS (
    DELETE FROM /* TEMPLATE: schema */engine
    WHERE engine.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */engine o
        WHERE o.heartbeat_at NOT BETWEEN now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
            AND now() + sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
        FOR UPDATE SKIP LOCKED)
    RETURNING engine.id
)
UPDATE /* TEMPLATE: schema */river_job j SET
    state = CASE WHEN j.metadata -> 'cancel_attempted_at' IS NULL THEN 'available' ELSE 'cancelled' END::/* TEMPLATE: schema */river_job_state,
    finalized_at = CASE WHEN j.metadata -> 'cancel_attempted_at' IS NOT NULL THEN now() END,
    scheduled_at = now()
WHERE j.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */river_job o
    WHERE o.state = 'running' AND o.id <> ALL (@under_way::bigint[]) AND (
        o.attempted_by[array_length(o.attempted_by, 1)] IN (SELECT dead.id FROM dead)
        OR o.attempted_by[array_length(o.attempted_by, 1)] = sqlc.arg(engine)::text
            AND o.attempted_at < now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
        OR o.attempted_at < now() - sqlc.arg(stuck_after_ms)::bigint * interval '1 millisecond')
    FOR UPDATE SKIP LOCKED);
