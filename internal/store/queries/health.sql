-- name: RecordFailures :exec
-- RecordFailures adds to the failures of an epoch. Rows are touched in the order
-- of their keys, so that two batches cannot deadlock.
INSERT INTO /* TEMPLATE: schema */subscription_health AS h (
    subscription_id, epoch, failing_since, failed_attempts, exhausted_row, exhausted_since, unresolvable, gone_at, circuit_until, circuit_opened)
SELECT
    x.subscription_id, x.epoch, CASE WHEN x.failed > 0 THEN now() END, x.failed,
    x.exhausted, CASE WHEN x.exhausted > 0 THEN now() END, x.unresolvable, CASE WHEN x.gone THEN now() END,
    CASE WHEN x.pause_ms > 0 THEN now() + x.pause_ms * interval '1 millisecond' END, x.opened
FROM (SELECT
    unnest(@subscriptions::text[])::uuid AS subscription_id,
    unnest(@epochs::integer[]) AS epoch,
    unnest(@failed::integer[]) AS failed,
    unnest(@exhausted::integer[]) AS exhausted,
    unnest(@unresolvable::integer[]) AS unresolvable,
    unnest(@gone::boolean[]) AS gone,
    unnest(@pause_ms::bigint[]) AS pause_ms,
    unnest(@opened::integer[]) AS opened
) x
ORDER BY x.subscription_id, x.epoch
ON CONFLICT (subscription_id, epoch) DO UPDATE SET
    failing_since = coalesce(h.failing_since, excluded.failing_since),
    failed_attempts = h.failed_attempts + excluded.failed_attempts,
    exhausted_row = h.exhausted_row + excluded.exhausted_row,
    exhausted_since = coalesce(h.exhausted_since, excluded.exhausted_since),
    unresolvable = h.unresolvable + excluded.unresolvable,
    gone_at = coalesce(h.gone_at, excluded.gone_at),
    circuit_until = CASE WHEN excluded.circuit_until IS NULL OR h.probe_id IS NOT NULL THEN coalesce(excluded.circuit_until, h.circuit_until)
        ELSE greatest(h.circuit_until, excluded.circuit_until) END,
    circuit_opened = h.circuit_opened
        + CASE WHEN h.circuit_until > now() AND h.probe_id IS NULL THEN 0 ELSE excluded.circuit_opened END,
    probe_id = CASE WHEN excluded.circuit_until IS NULL THEN h.probe_id END;

-- name: RecordRecoveries :exec
-- RecordRecoveries ends the failing windows of endpoints that answered well, and
-- closes their circuits. A wait that an endpoint has asked for stays.
UPDATE /* TEMPLATE: schema */subscription_health h SET
    failing_since = NULL, failed_attempts = 0, exhausted_row = 0, exhausted_since = NULL, warned_at = NULL,
    circuit_until = CASE WHEN h.circuit_opened = 0 AND h.probe_id IS NULL THEN h.circuit_until END, circuit_opened = 0, probe_id = NULL
FROM (
    SELECT o.subscription_id, o.epoch
    FROM /* TEMPLATE: schema */subscription_health o
    JOIN (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch) x
        USING (subscription_id, epoch)
    ORDER BY o.subscription_id, o.epoch
    FOR UPDATE OF o
) k
WHERE h.subscription_id = k.subscription_id AND h.epoch = k.epoch;

-- name: CloseCircuits :exec
-- CloseCircuits ends the trials of endpoints that have answered the probe, even
-- if they refused it. Their rows are locked by then.
UPDATE /* TEMPLATE: schema */subscription_health h SET circuit_until = NULL, circuit_opened = 0, probe_id = NULL
FROM (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch) x
WHERE h.subscription_id = x.subscription_id AND h.epoch = x.epoch AND h.probe_id IS NOT NULL;
