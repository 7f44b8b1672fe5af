-- name: RecordFailures :exec
-- RecordFailures adds to the failures of an epoch; counts that began before the
-- subscription was activated begin anew. Rows are touched in the order of their
-- keys, so that two batches cannot deadlock.
INSERT INTO /* TEMPLATE: schema */subscription_health AS h (
    subscription_id, epoch, failing_since, failed_attempts, exhausted_row, exhausted_since, unresolvable, unresolvable_since,
    app_failed, state_since, gone_at, circuit_until, circuit_opened)
SELECT
    x.subscription_id, x.epoch, CASE WHEN x.failed > 0 THEN now() END, x.failed,
    x.exhausted, CASE WHEN x.exhausted > 0 THEN now() END, x.unresolvable, CASE WHEN x.unresolvable > 0 THEN now() END,
    x.app_failed, s.state_since, CASE WHEN x.gone THEN now() END,
    CASE WHEN x.pause_ms > 0 THEN now() + x.pause_ms * interval '1 millisecond' END, x.opened
FROM (SELECT
    unnest(@subscriptions::text[])::uuid AS subscription_id,
    unnest(@epochs::integer[]) AS epoch,
    unnest(@failed::integer[]) AS failed,
    unnest(@exhausted::integer[]) AS exhausted,
    unnest(@unresolvable::integer[]) AS unresolvable,
    unnest(@app_failed::boolean[]) AS app_failed,
    unnest(@gone::boolean[]) AS gone,
    unnest(@pause_ms::bigint[]) AS pause_ms,
    unnest(@opened::integer[]) AS opened
) x LEFT JOIN /* TEMPLATE: schema */subscription s ON s.id = x.subscription_id
ORDER BY x.subscription_id, x.epoch
ON CONFLICT (subscription_id, epoch) DO UPDATE SET
    failing_since = CASE WHEN h.failing_since < excluded.state_since THEN excluded.failing_since
        ELSE coalesce(h.failing_since, excluded.failing_since) END,
    failed_attempts = CASE WHEN h.failing_since < excluded.state_since THEN 0 ELSE h.failed_attempts END + excluded.failed_attempts,
    exhausted_row = CASE WHEN h.failing_since < excluded.state_since THEN 0 ELSE h.exhausted_row END + excluded.exhausted_row,
    exhausted_since = CASE WHEN h.failing_since < excluded.state_since THEN excluded.exhausted_since
        ELSE coalesce(h.exhausted_since, excluded.exhausted_since) END,
    app_failed = excluded.app_failed OR h.app_failed AND (h.failing_since < excluded.state_since) IS NOT TRUE,
    warned_at = CASE WHEN (h.failing_since < excluded.state_since) IS NOT TRUE THEN h.warned_at END,
    unresolvable = CASE WHEN h.unresolvable_since < excluded.state_since THEN 0 ELSE h.unresolvable END + excluded.unresolvable,
    unresolvable_since = CASE WHEN h.unresolvable_since < excluded.state_since THEN excluded.unresolvable_since
        ELSE coalesce(h.unresolvable_since, excluded.unresolvable_since) END,
    state_since = excluded.state_since,
    gone_at = coalesce(h.gone_at, excluded.gone_at),
    circuit_until = CASE WHEN excluded.circuit_until IS NULL OR h.probe_id IS NOT NULL THEN coalesce(excluded.circuit_until, h.circuit_until)
        ELSE greatest(h.circuit_until, excluded.circuit_until) END,
    circuit_opened = h.circuit_opened
        + CASE WHEN h.circuit_until > now() AND h.probe_id IS NULL THEN 0 ELSE excluded.circuit_opened END,
    probe_id = CASE WHEN excluded.circuit_until IS NULL THEN h.probe_id END;

-- name: RecordRecoveries :many
-- RecordRecoveries ends the failing windows of endpoints that answered well, and
-- closes their circuits. A wait that an endpoint has asked for stays. It returns
-- the windows that were warned of and that were not over already.
WITH ended AS MATERIALIZED (
    SELECT o.subscription_id, o.epoch, o.failing_since, o.failed_attempts,
        o.warned_at IS NOT NULL AND s.epoch = o.epoch AND o.failing_since >= s.state_since AS warned
    FROM /* TEMPLATE: schema */subscription_health o
    JOIN (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch) x
        USING (subscription_id, epoch)
    LEFT JOIN /* TEMPLATE: schema */subscription s ON s.id = o.subscription_id
    ORDER BY o.subscription_id, o.epoch
    FOR UPDATE OF o
), recovered AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        failing_since = NULL, failed_attempts = 0, exhausted_row = 0, exhausted_since = NULL, app_failed = false, warned_at = NULL,
        circuit_until = CASE WHEN h.circuit_opened = 0 AND h.probe_id IS NULL THEN h.circuit_until END, circuit_opened = 0, probe_id = NULL
    FROM ended k
    WHERE h.subscription_id = k.subscription_id AND h.epoch = k.epoch
)
SELECT k.subscription_id, k.epoch, k.failing_since, k.failed_attempts FROM ended k WHERE k.warned;

-- name: CloseCircuits :exec
-- CloseCircuits ends the trials of endpoints that have answered the probe, even
-- if they refused it. Their rows are locked by then.
UPDATE /* TEMPLATE: schema */subscription_health h SET circuit_until = NULL, circuit_opened = 0, probe_id = NULL
FROM (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch) x
WHERE h.subscription_id = x.subscription_id AND h.epoch = x.epoch AND h.probe_id IS NOT NULL;

-- name: LockHealth :exec
-- LockHealth takes the rows of a batch that writes to them in several statements,
-- in the order of their keys.
SELECT FROM /* TEMPLATE: schema */subscription_health h
JOIN (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch) x USING (subscription_id, epoch)
ORDER BY h.subscription_id, h.epoch
FOR UPDATE OF h;

-- name: Troubled :many
-- Troubled returns what was counted of the next subscriptions that something was
-- counted against; live are those that it still counts against. A window that
-- began before the subscription was paused or activated is over. The inner
-- sub-select is one that no planner turns into a scan of all subscriptions.
SELECT h.subscription_id, h.epoch, s.url, s.owner,
    (s.epoch = h.epoch AND s.deleted_at IS NULL AND s.state <> 'deactivated')::boolean AS live,
    coalesce((s.deactivation ->> 'attempts')::bigint, 0)::bigint AS attempts_rule,
    coalesce((s.deactivation ->> 'exhausted')::bigint, 0)::bigint AS exhausted_rule,
    coalesce((s.deactivation ->> 'exhausted_window_ms')::bigint, 0)::bigint AS exhausted_window_ms,
    coalesce((s.deactivation ->> 'failures')::bigint, 0)::bigint AS failures_rule,
    coalesce((s.deactivation ->> 'unresolvable')::bigint, 0)::bigint AS unresolvable_rule,
    coalesce((s.deactivation ->> 'warning')::bigint, 0)::bigint AS warning_rule,
    coalesce((s.deactivation ->> 'window_ms')::bigint, 0)::bigint AS window_ms,
    h.failing_since, h.failed_attempts, h.exhausted_row, h.unresolvable,
    coalesce(h.failing_since >= s.state_since, false)::boolean AS failing,
    coalesce(h.unresolvable_since >= s.state_since, false)::boolean AS unresolved,
    coalesce(extract(epoch FROM now() - h.failing_since) * 1000, 0)::bigint AS failing_ms,
    coalesce(extract(epoch FROM now() - h.exhausted_since) * 1000, 0)::bigint AS exhausted_ms,
    (h.gone_at IS NOT NULL)::boolean AS gone,
    (h.warned_at IS NOT NULL)::boolean AS warned,
    h.app_failed
FROM (
    SELECT o.* FROM /* TEMPLATE: schema */subscription_health o
    WHERE o.troubled AND o.subscription_id > @after::uuid
    ORDER BY o.subscription_id, o.epoch DESC
    LIMIT 1000
) h CROSS JOIN LATERAL (
    SELECT u.url, u.owner, u.epoch, u.state, u.state_since, u.deleted_at, u.deactivation
    FROM /* TEMPLATE: schema */subscription u WHERE u.id = h.subscription_id
    OFFSET 0
) s
ORDER BY h.subscription_id, h.epoch DESC;

-- name: DeactivateEpoch :many
-- DeactivateEpoch deactivates a subscription unless it has moved on, or what was
-- counted against it is not what it was judged by. It leaves it for later when
-- somebody holds a row of it.
UPDATE /* TEMPLATE: schema */subscription s SET
    state = 'deactivated', state_reason = @reason, state_since = now(), epoch = s.epoch + 1, updated_at = now()
WHERE s.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */subscription o
    JOIN /* TEMPLATE: schema */subscription_health h ON h.subscription_id = o.id AND h.epoch = o.epoch
    WHERE o.id = @id AND o.epoch = @epoch AND o.state <> 'deactivated' AND o.deleted_at IS NULL
        AND h.failing_since IS NOT DISTINCT FROM sqlc.narg(failing_since)::timestamptz
    FOR UPDATE OF o, h SKIP LOCKED)
RETURNING s.id;

-- name: MarkWarned :many
UPDATE /* TEMPLATE: schema */subscription_health h SET warned_at = now()
WHERE h.subscription_id = @id AND h.epoch = @epoch AND h.warned_at IS NULL AND h.failing_since = sqlc.narg(failing_since)::timestamptz
RETURNING h.subscription_id;

-- name: GetHealth :one
-- GetHealth returns what counts towards a deactivation of a subscription now.
SELECT s.state, s.state_reason, s.state_since, s.epoch,
    h.failing_since,
    coalesce(h.failing_since >= s.state_since, false)::boolean AS failing,
    coalesce(h.unresolvable_since >= s.state_since, false)::boolean AS unresolved,
    coalesce(h.failed_attempts, 0)::integer AS failed_attempts,
    coalesce(h.exhausted_row, 0)::integer AS exhausted_row,
    coalesce(h.unresolvable, 0)::integer AS unresolvable,
    h.warned_at, h.circuit_until
FROM /* TEMPLATE: schema */subscription s
LEFT JOIN /* TEMPLATE: schema */subscription_health h ON h.subscription_id = s.id AND h.epoch = s.epoch
WHERE s.id = @id AND s.deleted_at IS NULL;
