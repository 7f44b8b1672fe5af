-- name: SettleIntents :many
-- SettleIntents ends the watch over intents whose jobs carry nothing any more:
-- each first attempt is recorded or handed over. Its sub-select is one that no
-- planner turns into a scan of all deliveries, and so are those of the next
-- statement.
WITH settled AS (
    SELECT s.ctid AS place FROM /* TEMPLATE: schema */intent_state s
    WHERE s.due_at <= now() AND s.state <> 'pending'
        AND (SELECT true FROM /* TEMPLATE: schema */delivery d
            WHERE d.intent_id = s.intent_id AND d.state = 'pending' AND d.hold = '' AND d.due_at IS NULL
            LIMIT 1) IS NULL
    ORDER BY s.due_at
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED
)
UPDATE /* TEMPLATE: schema */intent_state s SET due_at = NULL FROM settled t WHERE s.ctid = t.place
RETURNING s.intent_id;

-- name: ReconcileDeliveries :many
-- ReconcileDeliveries looks at due deliveries, and at those that a job of their
-- intent carries, whose River job does not do its part. Where it does not live any
-- more, cancelled by hand ends the delivery, and anything else makes a new job.
-- Where it should have begun, or is to begin much later than any of ours that
-- waits, a clock was wrong, and it begins now.
WITH due AS MATERIALIZED (
    SELECT d.id, d.due_at AS since FROM /* TEMPLATE: schema */delivery d
    WHERE d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
    UNION ALL
    SELECT d.id, s.due_at
    FROM /* TEMPLATE: schema */intent_state s CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.intent_id = s.intent_id AND o.state = 'pending' AND o.hold = '' AND o.due_at IS NULL
        OFFSET 0
    ) d
    WHERE s.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
), lost AS (
    SELECT d.id, d.attempt_seq, d.old_job_id, d.cancelled, d.waits,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM due CROSS JOIN LATERAL (
        SELECT o.id, o.attempt_seq, o.job_id AS old_job_id, coalesce(j.state = 'cancelled', false) AS cancelled,
            coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
        FROM /* TEMPLATE: schema */delivery o
        LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = o.job_id
        WHERE o.id = due.id AND o.state = 'pending' AND o.hold = ''
            AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded')
                OR j.state IN ('retryable', 'scheduled') AND j.scheduled_at < now() - interval '15 seconds'
                OR j.state <> 'running' AND j.scheduled_at > now() + interval '2 minutes')
        FOR UPDATE OF o SKIP LOCKED
    ) d
    ORDER BY due.since
    LIMIT 500
), late AS (
    UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
    FROM lost l
    WHERE j.id = l.old_job_id AND j.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.id IN (SELECT lost.old_job_id FROM lost) AND o.state IN ('available', 'retryable', 'scheduled')
        FOR UPDATE SKIP LOCKED)
    RETURNING l.id
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1,
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE d.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        due_at = CASE WHEN NOT l.cancelled THEN now() END,
        job_id = CASE WHEN NOT l.cancelled THEN l.job_id END
    FROM lost l
    WHERE d.id = l.id AND d.state = 'pending' AND d.attempt_seq = l.attempt_seq AND NOT l.waits
    RETURNING d.id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m WHERE m.job_id IS NOT NULL
)
SELECT m.id FROM moved m UNION ALL SELECT late.id FROM late;

-- name: ReconcileIntents :many
-- ReconcileIntents does the same for expansions. A new job takes up where the
-- expansion stands.
WITH lost AS (
    SELECT s.intent_id, s.after, s.job_id AS old_job_id, coalesce(j.state = 'cancelled', false) AS cancelled,
        coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM /* TEMPLATE: schema */intent_state s
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = s.job_id
    WHERE s.state = 'pending' AND s.due_at IS NOT NULL
        AND s.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded')
            OR j.state IN ('retryable', 'scheduled') AND j.scheduled_at < now() - interval '15 seconds'
            OR j.state <> 'running' AND j.scheduled_at > now() + interval '2 minutes')
    ORDER BY s.due_at
    LIMIT 500
    FOR UPDATE OF s SKIP LOCKED
), late AS (
    UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
    FROM lost l
    WHERE j.id = l.old_job_id AND j.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.id IN (SELECT lost.old_job_id FROM lost) AND o.state IN ('available', 'retryable', 'scheduled')
        FOR UPDATE SKIP LOCKED)
    RETURNING l.intent_id
), moved AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE s.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        due_at = now(),
        job_id = CASE WHEN l.cancelled THEN s.job_id ELSE l.job_id END
    FROM lost l
    WHERE s.intent_id = l.intent_id AND s.state = 'pending' AND NOT l.waits
    RETURNING s.intent_id, s.job_id, s.state, l.after
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('intent_id', m.intent_id, 'after_id', m.after), 'riverhook_chunk', 1000, 'chunk'
    FROM moved m WHERE m.state = 'pending'
)
SELECT m.intent_id FROM moved m UNION ALL SELECT late.intent_id FROM late;

-- name: ReconcileDecisions :many
-- ReconcileDecisions does the same for decisions that wait, except that a
-- cancelled job is replaced as well: a decision has no end of its own.
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

-- name: HeldSubscriptions :many
-- HeldSubscriptions finds the subscriptions that have held deliveries, by
-- jumping from one to the next in the index of what is held. circuit says that not
-- all may go out, probe that one may.
WITH RECURSIVE held AS (
    (SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d
    WHERE d.state = 'pending' AND d.hold <> '' AND d.subscription_id > @after::uuid
    ORDER BY d.subscription_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d
        WHERE d.state = 'pending' AND d.hold <> '' AND d.subscription_id > held.subscription_id
        ORDER BY d.subscription_id LIMIT 1)
    FROM held WHERE held.subscription_id IS NOT NULL
)
SELECT s.id, s.state, s.state_reason, (s.deleted_at IS NOT NULL)::boolean AS deleted, s.max_in_flight,
    s.url_version, coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS circuit,
    (coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)
        AND (greatest(c.asked_until, c.probe_until) > now()) IS NOT TRUE
        AND ((c.circuit_until > now()) IS NOT TRUE OR (SELECT true FROM /* TEMPLATE: schema */delivery o
            WHERE o.subscription_id = s.id AND o.hold = 'circuit' AND o.retry_at IS NOT NULL
            LIMIT 1) IS NOT NULL))::boolean AS probe
FROM (SELECT held.subscription_id FROM held WHERE held.subscription_id IS NOT NULL LIMIT 1000) k
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
        WHERE o.subscription_id = k.subscription_id AND o.state = 'pending' AND o.hold <> ''
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
        attempt_seq = d.attempt_seq + 1, hold = '', held_since = NULL, due_at = now(), reason = '', job_id = f.job_id
    FROM freed f
    WHERE d.id = f.id AND d.state = 'pending' AND d.attempt_seq = f.attempt_seq
    RETURNING d.id, d.subscription_id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m
)
SELECT m.subscription_id, count(*)::integer AS released,
    pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "deliver"}')::text AS notified
FROM moved m GROUP BY m.subscription_id;

-- name: CancelHeld :many
-- CancelHeld ends held deliveries of subscriptions that are no more in force.
UPDATE /* TEMPLATE: schema */delivery d SET
    attempt_seq = d.attempt_seq + 1, state = 'cancelled', hold = '', held_since = NULL, reason = @reason, ended_at = now()
WHERE d.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o
    WHERE o.subscription_id = @subscription_id AND o.state = 'pending' AND o.hold <> ''
    ORDER BY o.intent_id
    LIMIT 1000
    FOR UPDATE SKIP LOCKED)
RETURNING d.id;

-- name: ProbeCircuits :many
-- ProbeCircuits lets one held delivery of each subscription go out as the probe of
-- its circuit: in the pause of a circuit that failures opened the retry that was due
-- first, after the pause the oldest. The others wait until it is back or lost.
WITH ripe AS MATERIALIZED (
    SELECT h.subscription_id, h.epoch, s.circuit_version, h.circuit_version = s.circuit_version AS fits,
        (h.circuit_version = s.circuit_version AND h.circuit_until > now()) IS TRUE AS paused
    FROM /* TEMPLATE: schema */subscription_health h
    JOIN /* TEMPLATE: schema */subscription s ON s.id = h.subscription_id AND s.epoch = h.epoch
    WHERE h.subscription_id = ANY ((@subscriptions::text[])::uuid[]) AND s.state = 'active' AND s.deleted_at IS NULL
        AND h.url_version = s.url_version AND (h.asked_until > now()) IS NOT TRUE
        AND (h.circuit_version = s.circuit_version AND h.probe_until > now()) IS NOT TRUE
    ORDER BY h.subscription_id
    FOR UPDATE OF h SKIP LOCKED
), probe AS MATERIALIZED (
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
        WHERE NOT r.paused AND o.subscription_id = r.subscription_id AND o.state = 'pending' AND o.hold <> ''
        ORDER BY o.intent_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) oldest ON true
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', held_since = NULL, due_at = now(), reason = '',
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM probe p
    WHERE d.id = p.id AND d.state = 'pending' AND d.attempt_seq = p.attempt_seq
    RETURNING d.id, d.subscription_id, d.job_id
), circuit AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        probe_id = m.id, probe_until = now() + interval '90 seconds', circuit_version = p.circuit_version,
        circuit_until = CASE WHEN p.fits THEN h.circuit_until END, circuit_opened = CASE WHEN p.fits THEN h.circuit_opened ELSE 0 END
    FROM probe p JOIN moved m USING (subscription_id)
    WHERE h.subscription_id = p.subscription_id AND h.epoch = p.epoch
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m
)
SELECT m.subscription_id, pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "deliver"}')::text AS notified FROM moved m;

-- name: ExpireHeld :many
-- ExpireHeld ends what was held for too long.
UPDATE /* TEMPLATE: schema */delivery d SET
    attempt_seq = d.attempt_seq + 1, state = 'expired', hold = '', reason = 'held for too long: ' || d.hold, ended_at = now()
WHERE d.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o
    WHERE o.state = 'pending' AND o.hold <> '' AND o.held_since < now() - sqlc.arg(max_hold_ms)::bigint * interval '1 millisecond'
    LIMIT 500
    FOR UPDATE SKIP LOCKED)
RETURNING d.id;
