-- name: Beat :one
-- Beat writes the heartbeat of a process. It returns how old the last one was, -1
-- where there was none, whether another process lives under the same id: one
-- that has beaten since this one began, and the time.
WITH before AS (
    SELECT o.heartbeat_at FROM /* TEMPLATE: schema */engine o WHERE o.process = @process::text
), beat AS (
    INSERT INTO /* TEMPLATE: schema */engine (process, id, inbox) VALUES (@process::text, @id::text, @inbox::boolean)
    ON CONFLICT (process) DO UPDATE SET heartbeat_at = now()
    RETURNING started_at
)
SELECT
    coalesce((SELECT floor(extract(epoch FROM now() - b.heartbeat_at) * 1000) FROM before b), -1)::bigint AS gap_ms,
    EXISTS (SELECT FROM /* TEMPLATE: schema */engine t
        WHERE t.id = @id::text AND t.process <> @process::text AND t.heartbeat_at > beat.started_at) AS twin,
    clock_timestamp()::timestamptz AS at
FROM beat;

-- name: RemoveEngine :exec
-- RemoveEngine takes the heartbeat of a process that has ended, and its lease of
-- maintenance if it has that, and hands on what River could not complete for it.
WITH gone AS (
    DELETE FROM /* TEMPLATE: schema */engine WHERE engine.process = sqlc.arg(process)::text
), free AS (
    DELETE FROM /* TEMPLATE: schema */maintenance_lease l WHERE l.process = sqlc.arg(process)::text
)
UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] = sqlc.arg(process)::text;

-- name: ReleaseRunningJobs :one
-- ReleaseRunningJobs hands running jobs that nobody works on to the living, and
-- returns how many: those of processes whose heartbeat is old; those of processes
-- without one, because a claim was committed after the heartbeat had gone; those
-- that River names this process for, last in attempted_by, and that it does not know
-- of, because the answer that carried them here was lost; and those that run for
-- longer than a job can. One whose cancellation its process did not live to see is
-- cancelled. An old heartbeat goes when no job is left to hand on: one that is
-- locked now is handed on next time.
WITH dead AS (
    SELECT o.process FROM /* TEMPLATE: schema */engine o
    WHERE o.heartbeat_at NOT BETWEEN now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
        AND now() + sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
), released AS (
    UPDATE /* TEMPLATE: schema */river_job j SET
        state = CASE WHEN j.metadata -> 'cancel_attempted_at' IS NULL THEN 'available' ELSE 'cancelled' END::/* TEMPLATE: schema */river_job_state,
        finalized_at = CASE WHEN j.metadata -> 'cancel_attempted_at' IS NOT NULL THEN now() END,
        scheduled_at = now()
    WHERE j.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.state = 'running' AND o.id <> ALL (@under_way::bigint[]) AND (
            o.attempted_by[array_length(o.attempted_by, 1)] IN (SELECT dead.process FROM dead)
            OR (o.attempted_by[array_length(o.attempted_by, 1)] = sqlc.arg(process)::text
                    OR NOT EXISTS (SELECT FROM /* TEMPLATE: schema */engine l
                        WHERE l.process = o.attempted_by[array_length(o.attempted_by, 1)]))
                AND o.attempted_at < now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
            OR o.attempted_at < now() - sqlc.arg(stuck_after_ms)::bigint * interval '1 millisecond')
        FOR UPDATE SKIP LOCKED)
    RETURNING j.id
), forgotten AS (
    DELETE FROM /* TEMPLATE: schema */engine
    WHERE engine.process IN (
        SELECT o.process FROM /* TEMPLATE: schema */engine o
        WHERE o.heartbeat_at NOT BETWEEN now() - sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
                AND now() + sqlc.arg(dead_after_ms)::bigint * interval '1 millisecond'
            AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */river_job r
                WHERE r.state = 'running' AND r.attempted_by[array_length(r.attempted_by, 1)] = o.process
                    AND r.id NOT IN (SELECT released.id FROM released))
        FOR UPDATE SKIP LOCKED)
)
SELECT count(*) AS released FROM released;

-- name: LeaseMaintenance :one
-- LeaseMaintenance lets a process do what one does for all, or go on with it, unless
-- another has said so less than the time of a lease ago. It waits for nobody but another
-- who asks at the same moment.
WITH taken AS (
    UPDATE /* TEMPLATE: schema */maintenance_lease l SET process = @process::text, taken_at = now()
    WHERE l.process = @process::text OR l.taken_at NOT BETWEEN now() - sqlc.arg(lease_ms)::bigint * interval '1 millisecond'
        AND now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond'
    RETURNING l.process
), first AS (
    INSERT INTO /* TEMPLATE: schema */maintenance_lease (process)
    SELECT @process::text WHERE NOT EXISTS (SELECT FROM /* TEMPLATE: schema */maintenance_lease)
    ON CONFLICT DO NOTHING
    RETURNING process
)
SELECT (EXISTS (SELECT FROM taken) OR EXISTS (SELECT FROM first))::boolean AS leased;
