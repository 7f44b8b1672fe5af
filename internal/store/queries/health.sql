-- name: RecordFailures :exec
-- RecordFailures adds to the failures of an epoch; counts that began before the
-- subscription was activated begin anew, and so do those of another URL. What a
-- former URL has answered counts nothing, but for its wait where the new one is of
-- the same origin; unresolvable is of the owner and counts under any. While the
-- circuit is open failures do not prolong it: that is for who tries it after its
-- pause. Rows are touched in the order of their keys, so that two batches cannot
-- deadlock.
WITH said AS (
    -- What was counted, a row for each attempt or delivery.
    SELECT
        unnest(@subscriptions::text[])::uuid AS subscription_id,
        unnest(@epochs::integer[]) AS epoch,
        unnest(@url_versions::integer[]) AS url_version,
        unnest(@failed::integer[]) AS failed,
        unnest(@exhausted::integer[]) AS exhausted,
        unnest(@unresolvable::integer[]) AS unresolvable,
        unnest(@app_failed::boolean[]) AS app_failed,
        unnest(@gone::boolean[]) AS gone,
        unnest(@asked_ms::bigint[]) AS asked_ms,
        unnest(@pause_ms::bigint[]) AS pause_ms,
        nullif(unnest(@probes::text[]), '')::uuid AS probe_id
), counted AS (
    -- With the subscription as it is: fits is whether the URL in force has answered.
    SELECT x.*, x.url_version = s.url_version IS NOT FALSE AS fits, coalesce(s.url_version, 1) AS now_version,
        coalesce(s.origin_version, 1) AS origin_version, coalesce(s.circuit_version, 1) AS circuit_version, s.state_since
    FROM said x LEFT JOIN /* TEMPLATE: schema */subscription s ON s.id = x.subscription_id
), summed AS (
    -- One row for each epoch of a subscription, of what counts for it.
    SELECT
        c.subscription_id, c.epoch, c.now_version AS url_version, c.origin_version, c.circuit_version, c.state_since,
        coalesce(sum(c.failed) FILTER (WHERE c.fits), 0)::integer AS failed,
        coalesce(sum(c.exhausted) FILTER (WHERE c.fits), 0)::integer AS exhausted,
        sum(c.unresolvable)::integer AS unresolvable,
        coalesce(bool_or(c.app_failed AND c.fits), false) AS app_failed,
        coalesce(bool_or(c.gone AND c.fits), false) AS gone,
        coalesce(max(c.asked_ms) FILTER (WHERE c.url_version >= c.origin_version), 0) AS asked_ms,
        coalesce(max(c.pause_ms) FILTER (WHERE c.fits), 0) AS pause_ms,
        (array_agg(c.probe_id) FILTER (WHERE c.fits AND c.probe_id IS NOT NULL))[1] AS probe_id
    FROM counted c
    GROUP BY c.subscription_id, c.epoch, c.now_version, c.origin_version, c.circuit_version, c.state_since
)
INSERT INTO /* TEMPLATE: schema */subscription_health AS h (
    subscription_id, epoch, failing_since, failed_attempts, exhausted_row, exhausted_since, unresolvable, unresolvable_since,
    app_failed, state_since, gone_at, url_version, origin_version, circuit_version, asked_until, circuit_until, circuit_opened, probe_id)
SELECT
    x.subscription_id, x.epoch, CASE WHEN x.failed > 0 THEN now() END, x.failed,
    x.exhausted, CASE WHEN x.exhausted > 0 THEN now() END, x.unresolvable, CASE WHEN x.unresolvable > 0 THEN now() END,
    x.app_failed, x.state_since, CASE WHEN x.gone THEN now() END, x.url_version, x.origin_version, x.circuit_version,
    CASE WHEN x.asked_ms > 0 THEN now() + x.asked_ms * interval '1 millisecond' END,
    CASE WHEN x.pause_ms > 0 THEN now() + x.pause_ms * interval '1 millisecond' END, (x.pause_ms > 0)::integer, x.probe_id
FROM summed x
WHERE x.failed > 0 OR x.unresolvable > 0 OR x.asked_ms > 0 OR x.pause_ms > 0 OR x.gone OR x.probe_id IS NOT NULL
ORDER BY x.subscription_id, x.epoch
ON CONFLICT (subscription_id, epoch) DO UPDATE SET
    failing_since = CASE WHEN h.url_version < excluded.url_version OR h.failing_since < excluded.state_since THEN excluded.failing_since
        ELSE coalesce(h.failing_since, excluded.failing_since) END,
    failed_attempts = excluded.failed_attempts
        + CASE WHEN h.url_version < excluded.url_version OR h.failing_since < excluded.state_since THEN 0 ELSE h.failed_attempts END,
    exhausted_row = excluded.exhausted_row
        + CASE WHEN h.url_version < excluded.url_version OR h.failing_since < excluded.state_since THEN 0 ELSE h.exhausted_row END,
    exhausted_since = CASE WHEN h.url_version < excluded.url_version OR h.failing_since < excluded.state_since THEN excluded.exhausted_since
        ELSE coalesce(h.exhausted_since, excluded.exhausted_since) END,
    app_failed = excluded.app_failed OR h.app_failed AND (h.url_version < excluded.url_version OR h.failing_since < excluded.state_since) IS NOT TRUE,
    warned_at = CASE WHEN (h.url_version < excluded.url_version OR h.failing_since < excluded.state_since) IS NOT TRUE THEN h.warned_at END,
    unresolvable = CASE WHEN h.unresolvable_since < excluded.state_since THEN 0 ELSE h.unresolvable END + excluded.unresolvable,
    unresolvable_since = CASE WHEN h.unresolvable_since < excluded.state_since THEN excluded.unresolvable_since
        ELSE coalesce(h.unresolvable_since, excluded.unresolvable_since) END,
    state_since = excluded.state_since,
    gone_at = coalesce(CASE WHEN h.url_version = excluded.url_version THEN h.gone_at END, excluded.gone_at),
    url_version = excluded.url_version,
    origin_version = excluded.origin_version,
    circuit_version = excluded.circuit_version,
    asked_until = greatest(CASE WHEN h.origin_version = excluded.origin_version
        AND (h.url_version = excluded.url_version OR h.asked_until > now()) THEN h.asked_until END, excluded.asked_until),
    circuit_until = CASE
        WHEN h.url_version < excluded.url_version OR h.circuit_version <> excluded.circuit_version THEN excluded.circuit_until
        WHEN h.circuit_until > now() THEN h.circuit_until
        ELSE coalesce(excluded.circuit_until, h.circuit_until) END,
    circuit_opened = CASE
        WHEN h.url_version < excluded.url_version OR h.circuit_version <> excluded.circuit_version THEN excluded.circuit_opened
        WHEN h.circuit_until > now() THEN h.circuit_opened
        ELSE h.circuit_opened + excluded.circuit_opened END,
    probe_id = CASE WHEN h.url_version = excluded.url_version AND h.circuit_version = excluded.circuit_version
        AND h.probe_id IS DISTINCT FROM excluded.probe_id THEN h.probe_id END,
    probe_until = CASE WHEN h.url_version = excluded.url_version AND h.circuit_version = excluded.circuit_version
        AND h.probe_id IS DISTINCT FROM excluded.probe_id THEN h.probe_until END
WHERE h.url_version <= excluded.url_version;

-- name: RecordRecoveries :many
-- RecordRecoveries ends the failing windows of endpoints that answered well, and
-- closes their circuits, unless the URL is another by now. A wait that an endpoint
-- has asked for stays. It returns the windows that were warned of and that were not
-- over already.
WITH ended AS MATERIALIZED (
    SELECT o.subscription_id, o.epoch, o.url_version, o.failing_since, o.failed_attempts,
        o.warned_at IS NOT NULL AND s.epoch = o.epoch AND o.failing_since >= s.state_since AS warned
    FROM /* TEMPLATE: schema */subscription_health o
    JOIN (SELECT
        unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch,
        unnest(@url_versions::integer[]) AS url_version
    ) x USING (subscription_id, epoch, url_version)
    LEFT JOIN /* TEMPLATE: schema */subscription s ON s.id = o.subscription_id
    WHERE s.url_version = o.url_version IS NOT FALSE
    ORDER BY o.subscription_id, o.epoch
    FOR UPDATE OF o
), recovered AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        failing_since = NULL, failed_attempts = 0, exhausted_row = 0, exhausted_since = NULL, app_failed = false, warned_at = NULL,
        asked_until = CASE WHEN h.asked_until > now() THEN h.asked_until END,
        circuit_until = NULL, circuit_opened = 0, probe_id = NULL, probe_until = NULL
    FROM ended k
    WHERE h.subscription_id = k.subscription_id AND h.epoch = k.epoch
)
SELECT k.subscription_id, k.epoch, k.url_version, k.failing_since, k.failed_attempts FROM ended k WHERE k.warned;

-- name: CloseCircuits :exec
-- CloseCircuits ends the trials of endpoints that have answered their probes, even
-- if they refused them. Their rows are locked by then.
UPDATE /* TEMPLATE: schema */subscription_health h SET
    asked_until = CASE WHEN h.asked_until > now() THEN h.asked_until END,
    circuit_until = NULL, circuit_opened = 0, probe_id = NULL, probe_until = NULL
FROM (SELECT
    unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@epochs::integer[]) AS epoch,
    unnest(@url_versions::integer[]) AS url_version
) x
WHERE h.subscription_id = x.subscription_id AND h.epoch = x.epoch AND h.url_version = x.url_version;

-- name: EndWaits :one
-- EndWaits closes the circuit of the URL of an active subscription, and ends the wait
-- that its endpoint has asked for. It returns the epoch, and how many deliveries that
-- lets go on; none where the URL is another by now.
WITH picked AS MATERIALIZED (
    SELECT s.id, s.epoch FROM /* TEMPLATE: schema */subscription s
    WHERE s.id = sqlc.arg(subscription_id) AND s.url_version = sqlc.arg(url_version) AND s.state = 'active' AND s.deleted_at IS NULL
), ended AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        asked_until = NULL, circuit_until = NULL, circuit_opened = 0, probe_id = NULL, probe_until = NULL
    FROM picked p
    WHERE h.subscription_id = p.id AND h.epoch = p.epoch
)
SELECT
    coalesce((SELECT p.epoch FROM picked p), 0)::integer AS epoch,
    (SELECT count(*) FROM picked p JOIN /* TEMPLATE: schema */delivery d ON d.subscription_id = p.id WHERE d.hold = 'circuit')::integer AS held;

-- name: ClaimProbe :many
-- ClaimProbe lets a delivery try an endpoint whose circuit is not closed, as the only
-- one: a retry at any time, as far as the endpoint has asked for nothing, and any
-- other after the pause. A retry that is held and was due before goes first. It
-- returns no row where nothing keeps the delivery back, as the circuit has been closed
-- meanwhile.
WITH circuit AS MATERIALIZED (
    SELECT h.subscription_id, h.epoch, h.asked_until, h.probe_id, h.probe_until,
        CASE WHEN h.circuit_version = s.circuit_version THEN h.circuit_until END AS circuit_until,
        CASE WHEN h.circuit_version = s.circuit_version THEN h.circuit_opened ELSE 0 END AS circuit_opened,
        (h.circuit_version = s.circuit_version AND h.probe_until > now()) IS TRUE AS probed, s.circuit_version
    FROM /* TEMPLATE: schema */subscription_health h
    JOIN /* TEMPLATE: schema */subscription s ON s.id = h.subscription_id
    WHERE h.subscription_id = @subscription_id::uuid AND h.epoch = @epoch::integer
        AND h.url_version = @url_version::integer AND s.url_version = h.url_version
        AND (h.circuit_version = s.circuit_version AND h.circuit_opened > 0 OR h.asked_until IS NOT NULL)
    FOR UPDATE OF h
), claimed AS (
    UPDATE /* TEMPLATE: schema */subscription_health h SET
        probe_id = @id::uuid, probe_until = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond',
        circuit_version = c.circuit_version, circuit_until = c.circuit_until, circuit_opened = c.circuit_opened
    FROM circuit c
    WHERE h.subscription_id = c.subscription_id AND h.epoch = c.epoch
        AND (@at_once::boolean OR (c.asked_until > now()) IS NOT TRUE
            AND (@retry::boolean OR (c.circuit_until > now()) IS NOT TRUE)
            AND CASE WHEN c.probed THEN c.probe_id = @id::uuid
                ELSE (SELECT true FROM /* TEMPLATE: schema */delivery o
                    WHERE o.subscription_id = c.subscription_id AND o.hold = 'circuit' AND o.retry_at IS NOT NULL
                    LIMIT 1) IS NULL END)
    RETURNING h.subscription_id
)
SELECT EXISTS (SELECT FROM claimed)::boolean AS claimed, c.circuit_opened::integer AS circuit_opened
FROM circuit c;

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
-- began before the subscription was paused or activated, or of another URL, is over. The inner
-- sub-select is one that no planner turns into a scan of all subscriptions.
SELECT h.subscription_id, h.epoch, s.url, s.url_version, s.owner,
    (s.epoch = h.epoch AND s.deleted_at IS NULL AND s.state <> 'deactivated')::boolean AS live,
    coalesce((s.deactivation ->> 'attempts')::bigint, 0)::bigint AS attempts_rule,
    coalesce((s.deactivation ->> 'exhausted')::bigint, 0)::bigint AS exhausted_rule,
    coalesce((s.deactivation ->> 'exhausted_window_ms')::bigint, 0)::bigint AS exhausted_window_ms,
    coalesce((s.deactivation ->> 'failures')::bigint, 0)::bigint AS failures_rule,
    coalesce((s.deactivation ->> 'unresolvable')::bigint, 0)::bigint AS unresolvable_rule,
    coalesce((s.deactivation ->> 'warning')::bigint, 0)::bigint AS warning_rule,
    coalesce((s.deactivation ->> 'window_ms')::bigint, 0)::bigint AS window_ms,
    h.failing_since, h.failed_attempts, h.exhausted_row, h.unresolvable,
    coalesce(h.failing_since >= s.state_since AND h.url_version = s.url_version, false)::boolean AS failing,
    coalesce(h.unresolvable_since >= s.state_since, false)::boolean AS unresolved,
    coalesce(extract(epoch FROM now() - h.failing_since) * 1000, 0)::bigint AS failing_ms,
    coalesce(extract(epoch FROM now() - h.exhausted_since) * 1000, 0)::bigint AS exhausted_ms,
    (h.gone_at IS NOT NULL AND h.url_version = s.url_version)::boolean AS gone,
    (h.warned_at IS NOT NULL)::boolean AS warned,
    h.app_failed
FROM (
    SELECT o.* FROM /* TEMPLATE: schema */subscription_health o
    WHERE o.troubled AND o.subscription_id > sqlc.arg(after)::uuid
    ORDER BY o.subscription_id, o.epoch DESC
    LIMIT sqlc.arg(max_rows)::integer
) h CROSS JOIN LATERAL (
    SELECT u.url, u.url_version, u.owner, u.epoch, u.state, u.state_since, u.deleted_at, u.deactivation
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
    WHERE o.id = @id AND o.epoch = @epoch AND o.url_version = @url_version AND o.state <> 'deactivated' AND o.deleted_at IS NULL
        AND h.failing_since IS NOT DISTINCT FROM sqlc.narg(failing_since)::timestamptz
    FOR UPDATE OF o, h SKIP LOCKED)
RETURNING s.id;

-- name: MarkWarned :many
UPDATE /* TEMPLATE: schema */subscription_health h SET warned_at = now()
WHERE h.subscription_id = @id AND h.epoch = @epoch AND h.url_version = @url_version AND h.warned_at IS NULL AND h.failing_since = sqlc.narg(failing_since)::timestamptz
RETURNING h.subscription_id;

-- name: GetHealth :one
-- GetHealth returns what counts towards a deactivation of a subscription now.
SELECT s.state, s.state_reason, s.state_since, s.epoch,
    h.failing_since,
    coalesce(h.failing_since >= s.state_since AND h.url_version = s.url_version, false)::boolean AS failing,
    coalesce(h.unresolvable_since >= s.state_since, false)::boolean AS unresolved,
    coalesce(h.failed_attempts, 0)::integer AS failed_attempts,
    coalesce(h.exhausted_row, 0)::integer AS exhausted_row,
    coalesce(h.unresolvable, 0)::integer AS unresolvable,
    h.warned_at, c.circuit_until, c.asked_until, s.rate_events, s.rate_per_ms, s.rate_burst,
    (SELECT count(*) FROM /* TEMPLATE: schema */delivery d
        WHERE d.subscription_id = s.id AND d.state = 'pending' AND d.hold NOT IN ('', 'cause') AND d.hold = 'rate')::integer AS held_by_rate
FROM /* TEMPLATE: schema */subscription s
LEFT JOIN /* TEMPLATE: schema */subscription_health h ON h.subscription_id = s.id AND h.epoch = s.epoch
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch
WHERE s.id = @id AND s.deleted_at IS NULL;
