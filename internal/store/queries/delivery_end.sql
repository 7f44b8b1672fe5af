-- name: CancelDelivery :many
-- CancelDelivery ends a delivery. Its River job, if any, finds it ended and does
-- nothing.
WITH picked AS MATERIALIZED (
    SELECT d.id, d.state FROM /* TEMPLATE: schema */delivery d WHERE d.id = sqlc.arg(id) FOR UPDATE
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'cancelled', reason = sqlc.arg(reason), hold = '', held_since = NULL, job_id = NULL,
        due_at = NULL, ended_at = now()
    FROM picked p
    WHERE d.id = p.id AND p.state = 'pending'
)
SELECT p.state FROM picked p;

-- name: CancelHeld :many
-- CancelHeld ends held deliveries of a subscription that is no more in force, but for those that are
-- held for a cause: see EndCaused.
UPDATE /* TEMPLATE: schema */delivery d SET
    attempt_seq = d.attempt_seq + 1, state = 'cancelled', hold = '', held_since = NULL, reason = sqlc.arg(reason), ended_at = now()
WHERE d.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o
    WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.state = 'pending' AND o.hold NOT IN ('', 'cause')
    ORDER BY o.intent_id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED)
RETURNING d.id;

-- name: DropHeld :exec
-- DropHeld ends what a pause of a subscription has held back.
UPDATE /* TEMPLATE: schema */delivery d SET
    attempt_seq = d.attempt_seq + 1, state = 'cancelled', hold = '', held_since = NULL, reason = sqlc.arg(reason), ended_at = now()
WHERE d.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o
    WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.hold = 'paused' AND o.state = 'pending'
    ORDER BY o.id
    FOR UPDATE);

-- name: ExpireHeld :many
-- ExpireHeld ends what was held for too long.
UPDATE /* TEMPLATE: schema */delivery d SET
    attempt_seq = d.attempt_seq + 1, state = 'expired', hold = '', held_since = NULL, reason = 'held for too long: '
        || CASE WHEN d.hold = 'cause' THEN d.reason ELSE d.hold END, ended_at = now()
WHERE d.ctid = ANY (ARRAY(
    SELECT o.ctid FROM /* TEMPLATE: schema */delivery o
    WHERE o.state = 'pending' AND o.hold <> '' AND o.held_since < now() - sqlc.arg(max_hold_ms)::bigint * interval '1 millisecond'
    ORDER BY o.held_since
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED))
RETURNING d.id;
