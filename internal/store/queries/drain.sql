-- name: ClaimDueJobs :many
-- ClaimDueJobs takes River jobs as a River client would, for RunDue, which has none. In an
-- engine that runs, River fetches what is due, and turn.sql takes some by turns of their
-- shares. When something is due, and who says so, is in docs/internals/states.md under "Due".
UPDATE /* TEMPLATE: schema */river_job j SET
    state = 'running', attempt = j.attempt + 1, attempted_at = now(),
    attempted_by = array_append(coalesce(j.attempted_by, '{}'), sqlc.arg(process)::text)
WHERE j.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */river_job o
    WHERE o.queue = ANY (@queues::text[]) AND o.state IN ('available', 'retryable', 'scheduled')
        AND o.scheduled_at <= now()
    ORDER BY o.scheduled_at, o.id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED)
RETURNING j.id, j.kind, j.args, j.attempt, coalesce(cardinality(j.errors), 0)::integer AS failures,
    coalesce(j.tags[1], '')::text AS tag;

-- name: FinishJob :exec
UPDATE /* TEMPLATE: schema */river_job j SET
    state = CASE WHEN sqlc.arg(done)::boolean THEN 'completed' ELSE 'retryable' END::/* TEMPLATE: schema */river_job_state,
    finalized_at = CASE WHEN sqlc.arg(done)::boolean THEN now() END,
    attempt = CASE WHEN sqlc.arg(done)::boolean THEN j.attempt ELSE j.attempt - 1 END,
    scheduled_at = CASE WHEN sqlc.arg(done)::boolean THEN j.scheduled_at ELSE now() + sqlc.arg(retry_ms)::bigint * interval '1 millisecond' END
WHERE j.id = sqlc.arg(id) AND j.state = 'running';

-- name: NextDue :one
-- NextDue is in how many milliseconds, rounded up, something can go on that cannot now: a
-- job, what has lost its job, what its circuit, a cause or MaxHold keeps, an endpoint
-- that is to be asked. What came due since then is due in 0. It is -1 if nothing waits
-- for a time. What PassTime leaves alone because others are busy with it does not count.
SELECT (CASE WHEN min(w.at) IS NULL THEN -1 ELSE greatest(ceil(extract(epoch FROM min(w.at) - now()) * 1000), 0) END)::bigint AS wait_ms
FROM (
    SELECT j.scheduled_at AS at FROM /* TEMPLATE: schema */river_job j
    WHERE j.queue = ANY (@queues::text[]) AND j.state IN ('available', 'retryable', 'scheduled')
    UNION ALL
    SELECT t.at FROM /* TEMPLATE: schema */subscription_health h
    CROSS JOIN LATERAL (VALUES (h.asked_until), (h.circuit_until), (CASE WHEN NOT EXISTS (
        SELECT FROM /* TEMPLATE: schema */delivery d JOIN /* TEMPLATE: schema */river_job j ON j.id = d.job_id
        WHERE d.id = h.probe_id AND j.state = 'running') THEN h.probe_until END)) t (at)
    WHERE EXISTS (
        SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.subscription_id = h.subscription_id AND d.hold NOT IN ('', 'cause'))
    UNION ALL
    SELECT r.free_at FROM /* TEMPLATE: schema */rate r
    WHERE EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.hold = 'rate')
    UNION ALL
    SELECT d.due_at FROM /* TEMPLATE: schema */delivery d WHERE d.due_at IS NOT NULL
    UNION ALL
    SELECT s.due_at FROM /* TEMPLATE: schema */intent_state s WHERE s.due_at IS NOT NULL
    UNION ALL
    SELECT d.due_at FROM /* TEMPLATE: schema */decision d WHERE d.outcome = 'waiting' AND d.due_at IS NOT NULL
    UNION ALL
    SELECT d.held_since + sqlc.arg(max_hold_ms)::bigint * interval '1 millisecond' FROM /* TEMPLATE: schema */delivery d WHERE d.hold <> ''
    UNION ALL
    SELECT d.held_since + sqlc.arg(max_hold_ms)::bigint * interval '1 millisecond' FROM /* TEMPLATE: schema */decision d
    WHERE d.outcome = 'waiting' AND d.due_at IS NULL
    UNION ALL
    SELECT c.probe_at FROM /* TEMPLATE: schema */cause c
    WHERE EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.hold = 'cause' AND d.cause = c.name) OR EXISTS (
        SELECT FROM /* TEMPLATE: schema */decision d WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND d.cause = c.name)
    UNION ALL
    SELECT greatest(c.due_at, c.asking_until, c.asked_at + sqlc.arg(interval_ms)::bigint * interval '1 millisecond',
        h.asked_at + sqlc.arg(host_ms)::bigint * interval '1 millisecond')
    FROM /* TEMPLATE: schema */endpoint_challenge c
    LEFT JOIN /* TEMPLATE: schema */challenged_host h ON h.host = c.host
    WHERE c.due_at IS NOT NULL AND (c.asking_until > now()) IS NOT TRUE
) w
WHERE w.at > sqlc.arg(since)::timestamptz;

-- name: PassTime :exec
-- PassTime makes all that waits, and all that is measured by its age, older, as if so
-- much time had passed. What others are busy with stays: what a running job carries,
-- an endpoint that is being asked, a row that is locked, and heartbeats.
WITH passed AS (
    -- The time that passes.
    SELECT sqlc.arg(passed_ms)::bigint * interval '1 millisecond' AS time
), running AS MATERIALIZED (
    -- The jobs that somebody works on.
    SELECT j.id FROM /* TEMPLATE: schema */river_job j WHERE j.state = 'running'
), job AS (
    -- The jobs that wait.
    UPDATE /* TEMPLATE: schema */river_job j SET scheduled_at = j.scheduled_at - p.time
    FROM passed p
    WHERE j.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.queue = ANY (@queues::text[]) AND o.state IN ('available', 'retryable', 'scheduled')
        FOR UPDATE SKIP LOCKED)
), moved AS (
    -- The pending deliveries that no running job carries.
    UPDATE /* TEMPLATE: schema */delivery d SET
        due_at = d.due_at - p.time, held_since = d.held_since - p.time, retry_at = d.retry_at - p.time, access_at = d.access_at - p.time
    FROM passed p
    WHERE d.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.state = 'pending' AND NOT EXISTS (SELECT FROM running r WHERE r.id = o.job_id)
        FOR UPDATE SKIP LOCKED)
), decided AS (
    -- The decisions that wait for no running job.
    UPDATE /* TEMPLATE: schema */decision d SET due_at = d.due_at - p.time, created_at = d.created_at - p.time, held_since = d.held_since - p.time
    FROM passed p
    WHERE (d.intent_id, d.subscription_id) IN (
        SELECT o.intent_id, o.subscription_id FROM /* TEMPLATE: schema */decision o
        WHERE o.outcome = 'waiting' AND NOT EXISTS (SELECT FROM running r WHERE r.id = o.job_id)
        FOR UPDATE SKIP LOCKED)
), cause AS (
    -- The causes.
    UPDATE /* TEMPLATE: schema */cause c SET since = c.since - p.time, probed_at = c.probed_at - p.time, probe_at = c.probe_at - p.time
    FROM passed p
    WHERE c.name IN (SELECT o.name FROM /* TEMPLATE: schema */cause o FOR UPDATE SKIP LOCKED)
), expanded AS (
    -- The intents that no running job carries.
    UPDATE /* TEMPLATE: schema */intent_state s SET due_at = s.due_at - p.time, keep_at = s.keep_at - p.time
    FROM passed p
    WHERE s.intent_id IN (
        SELECT o.intent_id FROM /* TEMPLATE: schema */intent_state o
        WHERE (o.due_at IS NOT NULL OR o.keep_at IS NOT NULL) AND NOT EXISTS (SELECT FROM running r WHERE r.id = o.job_id)
        FOR UPDATE SKIP LOCKED)
), free AS MATERIALIZED (
    -- The subscriptions that nobody has locked.
    SELECT s.id FROM /* TEMPLATE: schema */subscription s WHERE s.deleted_at IS NULL FOR UPDATE SKIP LOCKED
), health AS (
    -- What was counted: windows only if their subscription ages too, probes only if they are not
    -- under way.
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        failing_since = h.failing_since - q.since, exhausted_since = h.exhausted_since - q.since,
        unresolvable_since = h.unresolvable_since - q.since, state_since = h.state_since - q.since,
        warned_at = h.warned_at - q.since, gone_at = h.gone_at - q.since,
        asked_until = h.asked_until - q.time, circuit_until = h.circuit_until - q.time, probe_until = h.probe_until - q.probe
    FROM (
        SELECT o.subscription_id, o.epoch, p.time,
            CASE WHEN o.subscription_id IN (SELECT f.id FROM free f) THEN p.time ELSE '0' END AS since,
            CASE WHEN EXISTS (
                SELECT FROM /* TEMPLATE: schema */delivery d JOIN running r ON r.id = d.job_id WHERE d.id = o.probe_id
            ) THEN '0' ELSE p.time END AS probe
        FROM /* TEMPLATE: schema */subscription_health o CROSS JOIN passed p
        FOR UPDATE OF o SKIP LOCKED
    ) q
    WHERE h.subscription_id = q.subscription_id AND h.epoch = q.epoch
), challenge AS (
    -- The endpoints that are not being asked.
    UPDATE /* TEMPLATE: schema */endpoint_challenge c SET
        due_at = c.due_at - p.time, asked_at = c.asked_at - p.time, asking_until = c.asking_until - p.time
    FROM passed p
    WHERE c.subscription_id IN (
        SELECT o.subscription_id FROM /* TEMPLATE: schema */endpoint_challenge o
        WHERE (o.asking_until > now()) IS NOT TRUE
        FOR UPDATE SKIP LOCKED)
), host AS (
    -- The hosts.
    UPDATE /* TEMPLATE: schema */challenged_host h SET asked_at = h.asked_at - p.time
    FROM passed p
    WHERE h.host IN (SELECT o.host FROM /* TEMPLATE: schema */challenged_host o FOR UPDATE SKIP LOCKED)
), rates AS (
    -- The rates.
    UPDATE /* TEMPLATE: schema */rate r SET
        taken_until = r.taken_until - p.time, released_until = r.released_until - p.time, released_at = r.released_at - p.time,
        free_at = r.free_at - p.time
    FROM passed p
    WHERE r.key IN (SELECT o.key FROM /* TEMPLATE: schema */rate o FOR UPDATE SKIP LOCKED)
), secrets AS (
    -- The secrets that expire.
    UPDATE /* TEMPLATE: schema */secret k SET expires_at = k.expires_at - p.time
    FROM passed p
    WHERE k.id IN (SELECT o.id FROM /* TEMPLATE: schema */secret o WHERE o.expires_at IS NOT NULL FOR UPDATE SKIP LOCKED)
)
UPDATE /* TEMPLATE: schema */subscription s SET state_since = s.state_since - p.time
FROM passed p
WHERE s.id IN (SELECT f.id FROM free f);

-- name: ReadClock :one
SELECT clock_timestamp()::timestamptz AS now;
