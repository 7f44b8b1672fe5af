-- name: HoldRetries :one
-- HoldRetries lets the next retries of a subscription that are planned wait for nothing
-- but their turn, in the order of their ids. It returns where the next step begins. One that
-- became due while this statement waited for its row is being sent.
WITH picked AS MATERIALIZED (
    SELECT o.id, o.due_at FROM /* TEMPLATE: schema */delivery o
    WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.id > sqlc.arg(after)::uuid AND o.epoch = sqlc.arg(epoch)
        AND o.state = 'pending' AND o.hold = '' AND o.due_at > now()
    ORDER BY o.id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = 'slots', held_since = coalesce(d.held_since, now()), due_at = NULL, job_id = NULL, reason = sqlc.arg(reason)
    FROM picked p
    WHERE d.id = p.id AND d.state = 'pending' AND d.hold = '' AND p.due_at > clock_timestamp()
    RETURNING d.id
)
SELECT
    (SELECT count(*) FROM moved)::integer AS moved,
    (SELECT count(*) FROM picked)::integer AS picked,
    coalesce((SELECT p.id FROM picked p ORDER BY p.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: HeldSubscriptions :many
-- HeldSubscriptions finds the subscriptions that have held deliveries, but for those that are held
-- for a cause, by jumping from one to the next in the index of what is held. circuit says that not
-- all may go out, probe that one may.
WITH RECURSIVE held AS (
    (SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d
    WHERE d.state = 'pending' AND d.hold NOT IN ('', 'cause') AND d.subscription_id > sqlc.arg(after)::uuid
    ORDER BY d.subscription_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d
        WHERE d.state = 'pending' AND d.hold NOT IN ('', 'cause') AND d.subscription_id > held.subscription_id
        ORDER BY d.subscription_id LIMIT 1)
    FROM held WHERE held.subscription_id IS NOT NULL
)
SELECT s.id, s.site, s.owner, s.state, s.state_reason, (s.deleted_at IS NOT NULL)::boolean AS deleted, s.max_in_flight,
    s.rate_events, s.rate_per_ms, s.rate_burst,
    s.url_version, coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS circuit,
    (coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)
        AND (greatest(c.asked_until, c.probe_until) > now()) IS NOT TRUE
        AND ((c.circuit_until > now()) IS NOT TRUE OR (SELECT true FROM /* TEMPLATE: schema */delivery o
            WHERE o.subscription_id = s.id AND o.hold = 'circuit' AND o.retry_at IS NOT NULL
            LIMIT 1) IS NOT NULL))::boolean AS probe
FROM (SELECT held.subscription_id FROM held WHERE held.subscription_id IS NOT NULL LIMIT sqlc.arg(max_rows)::integer) k
JOIN /* TEMPLATE: schema */subscription s ON s.id = k.subscription_id
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch
ORDER BY s.id;

-- name: ReleaseHeld :many
-- ReleaseHeld lets the oldest held deliveries of subscriptions go on, as many of
-- each as it is told, unless their circuit has opened meanwhile.
WITH freed AS (
    SELECT d.id, d.subscription_id, d.attempt_seq, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@most::integer[]) AS most) k
    CROSS JOIN LATERAL (
        SELECT o.id, o.subscription_id, o.attempt_seq FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = k.subscription_id AND o.state = 'pending' AND o.hold NOT IN ('', 'cause')
            AND NOT EXISTS (
                SELECT FROM /* TEMPLATE: schema */subscription_circuit c
                WHERE c.subscription_id = k.subscription_id AND (c.circuit_opened > 0 OR c.asked_until IS NOT NULL) AND c.epoch = (
                    SELECT s.epoch FROM /* TEMPLATE: schema */subscription s WHERE s.id = k.subscription_id))
        ORDER BY o.intent_id
        LIMIT k.most
        FOR UPDATE SKIP LOCKED
    ) d
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', due_at = now(), reason = '', job_id = f.job_id
    FROM freed f
    WHERE d.id = f.id AND d.state = 'pending' AND d.attempt_seq = f.attempt_seq
    RETURNING d.id, d.intent_id, d.subscription_id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, i.share, now()) j
)
SELECT m.subscription_id, count(*)::integer AS released,
    pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "deliver"}')::text AS notified
FROM moved m GROUP BY m.subscription_id;

-- name: ProbeCircuits :many
-- ProbeCircuits lets one held delivery of each subscription go out as the probe of
-- its circuit: in the pause of a circuit that failures opened the retry that was due
-- first, after the pause the oldest. The others wait until it is back or lost.
WITH ripe AS MATERIALIZED (
    -- The circuits that may be tried, locked in the order of their keys.
    SELECT h.subscription_id, h.epoch, s.circuit_version, h.circuit_version = s.circuit_version AS fits,
        (h.circuit_version = s.circuit_version AND h.circuit_until > now()) IS TRUE AS paused
    FROM /* TEMPLATE: schema */subscription_health h
    JOIN /* TEMPLATE: schema */subscription s ON s.id = h.subscription_id AND s.epoch = h.epoch
    WHERE h.subscription_id = ANY ((sqlc.arg(subscriptions)::text[])::uuid[]) AND s.state = 'active' AND s.deleted_at IS NULL
        AND h.url_version = s.url_version AND (h.asked_until > now()) IS NOT TRUE
        AND (h.circuit_version = s.circuit_version AND h.probe_until > now()) IS NOT TRUE
    ORDER BY h.subscription_id
    FOR UPDATE OF h SKIP LOCKED
), probe AS MATERIALIZED (
    -- The delivery that tries each of them, if there is one that nobody has locked.
    SELECT r.subscription_id, r.epoch, r.circuit_version, r.fits,
        coalesce(retry.id, oldest.id) AS id, coalesce(retry.attempt_seq, oldest.attempt_seq) AS attempt_seq
    FROM ripe r
    LEFT JOIN LATERAL (
        SELECT o.id, o.attempt_seq FROM /* TEMPLATE: schema */delivery o
        WHERE r.paused AND o.subscription_id = r.subscription_id AND o.hold = 'circuit' AND o.retry_at IS NOT NULL
        ORDER BY o.retry_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) retry ON true
    LEFT JOIN LATERAL (
        SELECT o.id, o.attempt_seq FROM /* TEMPLATE: schema */delivery o
        WHERE NOT r.paused AND o.subscription_id = r.subscription_id AND o.state = 'pending' AND o.hold NOT IN ('', 'cause')
        ORDER BY o.intent_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) oldest ON true
), moved AS (
    -- The deliveries go on.
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', due_at = now(), reason = '',
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM probe p
    WHERE d.id = p.id AND d.state = 'pending' AND d.attempt_seq = p.attempt_seq
    RETURNING d.id, d.intent_id, d.subscription_id, d.job_id
), circuit AS (
    -- The circuits know their probes. What was counted before a person activated the subscription
    -- is over.
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        probe_id = m.id, probe_until = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond', circuit_version = p.circuit_version,
        circuit_until = CASE WHEN p.fits THEN h.circuit_until END, circuit_opened = CASE WHEN p.fits THEN h.circuit_opened ELSE 0 END
    FROM probe p JOIN moved m USING (subscription_id)
    WHERE h.subscription_id = p.subscription_id AND h.epoch = p.epoch
), job AS (
    -- A job for each probe.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, i.share, now()) j
)
SELECT m.subscription_id, pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "deliver"}')::text AS notified FROM moved m;
