-- name: Beat :exec
INSERT INTO /* TEMPLATE: schema */engine (id) VALUES (@id)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now();

-- name: RemoveEngine :exec
DELETE FROM /* TEMPLATE: schema */engine WHERE id = @id;

-- name: ReleaseDeadEngines :execrows
-- ReleaseDeadEngines hands the running jobs of engines without a heartbeat to
-- the living. River names the client that runs a job last in attempted_by.
WITH dead AS (
    DELETE FROM /* TEMPLATE: schema */engine
    WHERE engine.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */engine o
        WHERE o.heartbeat_at < now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
        FOR UPDATE SKIP LOCKED)
    RETURNING engine.id
)
UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
FROM dead
WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] = dead.id;
