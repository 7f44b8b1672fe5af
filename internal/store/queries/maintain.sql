-- name: ReconcileDeliveries :many
-- ReconcileDeliveries looks at due deliveries whose River job does not live any
-- more: cancelled by hand ends the delivery, anything else makes a new job.
WITH lost AS (
    SELECT d.id, d.attempt_seq, coalesce(j.state = 'cancelled', false) AS cancelled,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM /* TEMPLATE: schema */delivery d
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = d.job_id
    WHERE d.state = 'pending' AND d.hold = '' AND d.due_at IS NOT NULL
        AND d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded'))
    ORDER BY d.due_at
    LIMIT 500
    FOR UPDATE OF d SKIP LOCKED
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1,
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE d.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        job_id = CASE WHEN NOT l.cancelled THEN l.job_id END
    FROM lost l
    WHERE d.id = l.id AND d.state = 'pending' AND d.attempt_seq = l.attempt_seq
    RETURNING d.id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m WHERE m.job_id IS NOT NULL
)
SELECT m.id FROM moved m;

-- name: ReconcileIntents :many
-- ReconcileIntents does the same for expansions. A new job takes up where the
-- expansion stands.
WITH lost AS (
    SELECT s.intent_id, s.after, coalesce(j.state = 'cancelled', false) AS cancelled,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM /* TEMPLATE: schema */intent_state s
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = s.job_id
    WHERE s.state = 'pending' AND s.due_at IS NOT NULL
        AND s.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded'))
    ORDER BY s.due_at
    LIMIT 500
    FOR UPDATE OF s SKIP LOCKED
), moved AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET
        state = CASE WHEN l.cancelled THEN 'cancelled' ELSE 'pending' END,
        reason = CASE WHEN l.cancelled THEN 'its River job was cancelled' ELSE s.reason END,
        ended_at = CASE WHEN l.cancelled THEN now() END,
        job_id = CASE WHEN l.cancelled THEN s.job_id ELSE l.job_id END
    FROM lost l
    WHERE s.intent_id = l.intent_id AND s.state = 'pending'
    RETURNING s.intent_id, s.job_id, s.state, l.after
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('intent_id', m.intent_id, 'after_id', m.after), 'riverhook_chunk', 1000, 'chunk'
    FROM moved m WHERE m.state = 'pending'
)
SELECT m.intent_id FROM moved m;

-- name: ReconcileDecisions :many
-- ReconcileDecisions does the same for decisions that wait, except that a
-- cancelled job is replaced as well: a decision has no end of its own.
WITH lost AS (
    SELECT DISTINCT d.intent_id
    FROM /* TEMPLATE: schema */decision d
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = d.job_id
    WHERE d.outcome = 'waiting' AND d.due_at IS NOT NULL
        AND d.due_at < now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
        AND (j.id IS NULL OR j.state IN ('cancelled', 'completed', 'discarded'))
    LIMIT 500
), numbered AS (
    SELECT l.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id FROM lost l
), moved AS (
    UPDATE /* TEMPLATE: schema */decision d SET job_id = n.job_id
    FROM numbered n
    WHERE d.intent_id = n.intent_id AND d.outcome = 'waiting'
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT n.job_id, jsonb_build_object('intent_id', n.intent_id), 'riverhook_decide', 1000, 'chunk'
    FROM numbered n
)
SELECT n.intent_id FROM numbered n;

-- name: ReleaseHeld :many
-- ReleaseHeld lets the held deliveries of subscriptions that are active again go
-- on, oldest first and in small steps, and ends those of subscriptions that were
-- deactivated or deleted meanwhile.
WITH freed AS (
    SELECT d.id, d.attempt_seq,
        (s.deleted_at IS NULL AND s.state = 'active' AND s.epoch = d.epoch) AS goes_on,
        CASE WHEN s.deleted_at IS NOT NULL THEN 'subscription deleted'
            WHEN s.state = 'deactivated' THEN 'subscription deactivated: ' || s.state_reason
            ELSE 'subscription was deactivated meanwhile' END AS reason,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM /* TEMPLATE: schema */delivery d
    JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
    WHERE d.state = 'pending' AND d.hold <> ''
        AND NOT (s.deleted_at IS NULL AND s.state = 'paused' AND s.epoch = d.epoch)
    ORDER BY d.subscription_id, d.id
    LIMIT sqlc.arg(max)::integer
    FOR UPDATE OF d SKIP LOCKED
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1,
        state = CASE WHEN f.goes_on THEN 'pending' ELSE 'cancelled' END,
        hold = '', held_since = NULL, due_at = now(),
        reason = CASE WHEN f.goes_on THEN '' ELSE f.reason END,
        ended_at = CASE WHEN NOT f.goes_on THEN now() END,
        job_id = CASE WHEN f.goes_on THEN f.job_id END
    FROM freed f
    WHERE d.id = f.id AND d.state = 'pending' AND d.attempt_seq = f.attempt_seq
    RETURNING d.id, d.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue)
    SELECT m.job_id, jsonb_build_object('delivery_id', m.id), 'riverhook_deliver', 1000, 'deliver'
    FROM moved m WHERE m.job_id IS NOT NULL
)
SELECT m.id FROM moved m;

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

-- name: DueDeactivations :many
-- DueDeactivations finds the epochs that have earned a deactivation, and those
-- that are half way there and were not warned yet.
SELECT h.subscription_id, h.epoch, h.failed_attempts, h.exhausted_row, h.unresolvable,
    (h.gone_at IS NOT NULL)::boolean AS gone,
    (h.failed_attempts >= sqlc.arg(attempts)::integer
        AND h.failing_since < now() - sqlc.arg(window_ms)::bigint * interval '1 millisecond')::boolean AS failing,
    (h.exhausted_row >= sqlc.arg(exhausted)::integer
        AND h.exhausted_since < now() - sqlc.arg(exhausted_ms)::bigint * interval '1 millisecond')::boolean AS exhausted,
    (h.unresolvable >= sqlc.arg(unresolvable)::integer)::boolean AS unresolved,
    h.failing_since
FROM /* TEMPLATE: schema */subscription_health h
JOIN /* TEMPLATE: schema */subscription s ON s.id = h.subscription_id AND s.epoch = h.epoch
WHERE s.deleted_at IS NULL AND s.state <> 'deactivated' AND (
    h.gone_at IS NOT NULL
    OR (h.failed_attempts >= sqlc.arg(attempts)::integer
        AND h.failing_since < now() - sqlc.arg(window_ms)::bigint * interval '1 millisecond')
    OR (h.exhausted_row >= sqlc.arg(exhausted)::integer
        AND h.exhausted_since < now() - sqlc.arg(exhausted_ms)::bigint * interval '1 millisecond')
    OR h.unresolvable >= sqlc.arg(unresolvable)::integer
    OR (h.warned_at IS NULL AND h.failed_attempts >= sqlc.arg(attempts)::integer
        AND h.failing_since < now() - sqlc.arg(window_ms)::bigint * interval '0.5 millisecond'))
ORDER BY h.subscription_id
LIMIT 100;

-- name: DeactivateEpoch :execrows
-- DeactivateEpoch deactivates a subscription unless it has moved on, and leaves
-- it for later when an application holds its row.
UPDATE /* TEMPLATE: schema */subscription s SET
    state = 'deactivated', state_reason = @reason, state_since = now(), epoch = s.epoch + 1, updated_at = now()
WHERE s.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */subscription o
    WHERE o.id = @id AND o.epoch = @epoch AND o.state <> 'deactivated' AND o.deleted_at IS NULL
    FOR UPDATE SKIP LOCKED);

-- name: MarkWarned :execrows
UPDATE /* TEMPLATE: schema */subscription_health h SET warned_at = now()
WHERE h.subscription_id = @id AND h.epoch = @epoch AND h.warned_at IS NULL;
