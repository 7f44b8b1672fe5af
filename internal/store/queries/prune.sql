-- name: TryPruneLock :one
-- TryPruneLock keeps two engines from pruning at once, until the transaction
-- ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('riverhook prune ' || sqlc.arg(schema)::text, 0))::boolean AS locked;

-- name: LockSurplus :one
-- LockSurplus reads the next deliveries, those of a subscription from the newest on, and
-- locks some that have ended beyond what is kept of their subscription. It returns where the
-- next step begins: after what subscription, below which of its deliveries, and how many that are
-- kept were counted above. What was cancelled of
-- the epoch that the last deactivation has ended is neither counted nor pruned: it is
-- there to be recovered. Those whose ids are from a clock that ran ahead are not
-- counted: what has come since would seem older.
WITH subs AS MATERIALIZED (
    -- The next subscriptions, beginning with the one that was read last.
    SELECT s.id, s.epoch FROM /* TEMPLATE: schema */subscription s
    WHERE s.id >= sqlc.arg(after)::uuid
    ORDER BY s.id
    LIMIT sqlc.arg(subscriptions)::integer
), part AS MATERIALIZED (
    -- Their next deliveries, and which have ended and which of these count.
    SELECT s.id AS subscription_id, d.id, d.ended,
        d.ended AND d.id <= (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + sqlc.arg(ahead_ms)::bigint), 12, '0') || repeat('f', 20))::uuid
            AND d.id <= (lpad(to_hex((extract(epoch FROM d.created_at) * 1000)::bigint + sqlc.arg(skew_ms)::bigint), 12, '0') || repeat('f', 20))::uuid
            AS counts
    FROM subs s CROSS JOIN LATERAL (
        SELECT o.id, o.created_at, o.state <> 'pending' AND NOT (o.state = 'cancelled' AND o.epoch = s.epoch - 1) AS ended
        FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = s.id
            AND o.id < CASE WHEN s.id = sqlc.arg(after)::uuid THEN sqlc.arg(below)::uuid ELSE 'ffffffff-ffff-ffff-ffff-ffffffffffff' END
        ORDER BY o.id DESC
        LIMIT sqlc.arg(read_rows)::integer
    ) d
    LIMIT sqlc.arg(read_rows)::integer
), ranked AS MATERIALIZED (
    -- How many of each subscription count up to each of them.
    SELECT p.subscription_id, p.id, p.ended,
        count(*) FILTER (WHERE p.counts) OVER (PARTITION BY p.subscription_id ORDER BY p.id DESC)
            + CASE WHEN p.subscription_id = sqlc.arg(after)::uuid THEN sqlc.arg(counted)::bigint ELSE 0 END AS counted
    FROM part p
), doomed AS MATERIALIZED (
    -- Some that are beyond what is kept, unless somebody has locked them.
    SELECT d.id FROM ranked r CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.id = r.id AND o.state <> 'pending'
            AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = o.intent_id) IS DISTINCT FROM 'pending'
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE r.ended AND r.counted > sqlc.arg(keep)::bigint
    LIMIT sqlc.arg(max_rows)::integer
), last AS MATERIALIZED (
    -- What was read last: a delivery, or a subscription with all of its deliveries.
    (SELECT r.subscription_id, r.id, r.counted FROM ranked r
    WHERE (SELECT count(*) FROM part) = sqlc.arg(read_rows)::integer
    ORDER BY r.subscription_id DESC, r.id
    LIMIT 1)
    UNION ALL
    (SELECT s.id, '00000000-0000-0000-0000-000000000000'::uuid, 0 FROM subs s
    WHERE (SELECT count(*) FROM part) < sqlc.arg(read_rows)::integer
    ORDER BY s.id DESC
    LIMIT 1)
)
SELECT
    ARRAY(SELECT x.id FROM doomed x)::uuid[] AS ids,
    ((SELECT count(*) FROM subs) < sqlc.arg(subscriptions)::integer AND (SELECT count(*) FROM part) < sqlc.arg(read_rows)::integer)::boolean AS is_end,
    coalesce((SELECT l.subscription_id FROM last l), sqlc.arg(after)::uuid)::uuid AS last,
    coalesce((SELECT l.id FROM last l), sqlc.arg(below)::uuid)::uuid AS last_below,
    coalesce((SELECT l.counted FROM last l), 0)::bigint AS last_counted;

-- name: LockOldDeliveries :one
-- LockOldDeliveries looks at the next deliveries that were made long ago, in the order of
-- their ids, and locks those that ended long ago. A delivery is older than its end, so that
-- its id says where to stop. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT d.id FROM /* TEMPLATE: schema */delivery d
    WHERE d.id > sqlc.arg(after)::uuid
        AND d.id < (lpad(to_hex(greatest((extract(epoch FROM now()) * 1000)::bigint - sqlc.arg(max_age_ms)::bigint, 0)), 12, '0') || repeat('f', 20))::uuid
    ORDER BY d.id
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT d.id FROM seen n CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.id = n.id AND o.state <> 'pending' AND o.ended_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
            AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = o.intent_id) IS DISTINCT FROM 'pending'
        FOR UPDATE SKIP LOCKED
    ) d
)
SELECT
    ARRAY(SELECT x.id FROM doomed x)::uuid[] AS ids,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.id FROM seen n ORDER BY n.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: DeleteDeliveries :execrows
-- DeleteDeliveries deletes deliveries that the transaction has locked, with their
-- attempts. It must not be one statement with the lock: an attempt that was
-- recorded just before the lock is seen by a later statement only, and would stay
-- without its delivery.
WITH attempts AS (
    DELETE FROM /* TEMPLATE: schema */attempt a WHERE a.delivery_id = ANY ((@ids::text[])::uuid[])
)
DELETE FROM /* TEMPLATE: schema */delivery d WHERE d.id = ANY ((@ids::text[])::uuid[]);

-- name: PruneDecisions :one
-- PruneDecisions looks at the next decisions about old intents, in the order of these,
-- and prunes those that were made long ago. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT c.intent_id, c.subscription_id FROM /* TEMPLATE: schema */decision c
    WHERE (c.intent_id, c.subscription_id) > (sqlc.arg(after)::uuid, sqlc.arg(after_subscription)::uuid)
        AND c.intent_id < (lpad(to_hex(greatest((extract(epoch FROM now()) * 1000)::bigint - sqlc.arg(max_age_ms)::bigint, 0)), 12, '0') || repeat('f', 20))::uuid
    ORDER BY c.intent_id, c.subscription_id
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT c.intent_id, c.subscription_id FROM seen n CROSS JOIN LATERAL (
        SELECT o.intent_id, o.subscription_id FROM /* TEMPLATE: schema */decision o
        WHERE o.intent_id = n.intent_id AND o.subscription_id = n.subscription_id
            AND o.outcome <> 'waiting' AND o.decided_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
            AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = o.intent_id) IS DISTINCT FROM 'pending'
        FOR UPDATE SKIP LOCKED
    ) c
), pruned AS (
    DELETE FROM /* TEMPLATE: schema */decision c USING doomed x
    WHERE c.intent_id = x.intent_id AND c.subscription_id = x.subscription_id AND c.outcome <> 'waiting'
    RETURNING c.intent_id
), last AS MATERIALIZED (
    SELECT n.intent_id, n.subscription_id FROM seen n ORDER BY n.intent_id DESC, n.subscription_id DESC LIMIT 1
)
SELECT
    (SELECT count(*) FROM pruned)::integer AS pruned,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT l.intent_id FROM last l), sqlc.arg(after)::uuid)::uuid AS last,
    coalesce((SELECT l.subscription_id FROM last l), sqlc.arg(after_subscription)::uuid)::uuid AS last_subscription;

-- name: LockOldIntents :one
-- LockOldIntents locks the next intents, in the order of their ids, that are old
-- and of which no delivery and no decision is left. It returns where the next step
-- begins.
WITH seen AS MATERIALIZED (
    SELECT i.id FROM /* TEMPLATE: schema */intent i
    WHERE i.id > sqlc.arg(after)::uuid
        AND i.id < (lpad(to_hex(greatest((extract(epoch FROM now()) * 1000)::bigint - sqlc.arg(max_age_ms)::bigint, 0)), 12, '0') || repeat('f', 20))::uuid
    ORDER BY i.id
    LIMIT sqlc.arg(max_rows)::integer
), done AS MATERIALIZED (
    SELECT i.id
    FROM seen n
    JOIN /* TEMPLATE: schema */intent i ON i.id = n.id
    JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = n.id
    WHERE s.state <> 'pending' AND i.created_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
        AND (i.gone IS NULL OR i.gone IN ('dropped', 'hashed') OR i.created_at < now() - sqlc.arg(dedupe_ms)::bigint * interval '1 millisecond')
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = n.id)
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision c WHERE c.intent_id = n.id)
    FOR UPDATE OF i, s SKIP LOCKED
)
SELECT
    ARRAY(SELECT x.id FROM done x)::uuid[] AS ids,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.id FROM seen n ORDER BY n.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: PruneIntents :one
-- PruneIntents takes their messages and their payload from intents that the
-- transaction has locked, and at the end of the dedupe window everything. It must
-- not be one statement with the lock: one that was run again and expanded just
-- before the lock has deliveries by now.
WITH done AS MATERIALIZED (
    SELECT i.id, i.created_at < now() - sqlc.arg(dedupe_ms)::bigint * interval '1 millisecond' AS forget
    FROM unnest(@ids::text[]) AS u (id)
    JOIN /* TEMPLATE: schema */intent i ON i.id = u.id::uuid
    WHERE NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = i.id)
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision c WHERE c.intent_id = i.id)
), messages AS (
    DELETE FROM /* TEMPLATE: schema */message m USING done x WHERE m.intent_id = x.id
), emptied AS (
    UPDATE /* TEMPLATE: schema */intent i SET data = NULL, data_sha256 = NULL, attributes = '{}', gone = 'pruned', gone_at = now()
    FROM done x WHERE i.id = x.id AND NOT x.forget
), kept AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET keep = NULL, keep_at = NULL
    FROM done x WHERE s.intent_id = x.id AND NOT x.forget AND s.keep IS NOT NULL
), states AS (
    DELETE FROM /* TEMPLATE: schema */intent_state s USING done x WHERE s.intent_id = x.id AND x.forget
), intents AS (
    DELETE FROM /* TEMPLATE: schema */intent i USING done x WHERE i.id = x.id AND x.forget
)
SELECT
    (SELECT count(*) FROM done x WHERE NOT x.forget)::integer AS emptied,
    (SELECT count(*) FROM done x WHERE x.forget)::integer AS forgotten;

-- name: LockPayloads :many
-- LockPayloads looks at the next intents of which less is to be kept by now than
-- is there, in the order of when that was due. Those that are free are locked with
-- their messages: no redelivery begins, and no decision is made anew, until the
-- transaction ends.
WITH seen AS MATERIALIZED (
    SELECT s.intent_id, s.keep_at FROM /* TEMPLATE: schema */intent_state s
    WHERE s.keep_at <= now() AND (s.keep_at, s.intent_id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid)
    ORDER BY s.keep_at, s.intent_id
    LIMIT sqlc.arg(max_rows)::integer
), locked AS MATERIALIZED (
    SELECT m.intent_id, m.dialect FROM /* TEMPLATE: schema */message m
    WHERE m.intent_id IN (SELECT n.intent_id FROM seen n)
    FOR UPDATE SKIP LOCKED
), intents AS MATERIALIZED (
    SELECT i.id FROM /* TEMPLATE: schema */intent i
    WHERE i.id IN (SELECT n.intent_id FROM seen n)
    FOR UPDATE SKIP LOCKED
)
SELECT n.intent_id, n.keep_at, (EXISTS (SELECT FROM intents x WHERE x.id = n.intent_id) AND NOT EXISTS (
    SELECT FROM /* TEMPLATE: schema */message m
    WHERE m.intent_id = n.intent_id AND NOT EXISTS (
        SELECT FROM locked l WHERE l.intent_id = m.intent_id AND l.dialect = m.dialect)))::boolean AS free
FROM seen n
ORDER BY n.keep_at, n.intent_id;

-- name: ReducePayloads :one
-- ReducePayloads leaves of the payloads of intents what is to be kept, where
-- nothing is pending and nothing can be run again. It must not be one statement
-- with LockPayloads: a redelivery or a decision to be made anew that was committed
-- before the lock is to be seen.
WITH ended AS MATERIALIZED (
    SELECT i.id, s.keep
    FROM unnest(@ids::text[]) AS u (id)
    JOIN /* TEMPLATE: schema */intent i ON i.id = u.id::uuid
    JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
    WHERE s.state = 'expanded' AND s.keep IS NOT NULL
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = i.id AND d.state = 'pending')
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision c WHERE c.intent_id = i.id AND c.outcome IN ('waiting', 'failed', 'filter_error'))
    FOR UPDATE OF i, s SKIP LOCKED
), messages AS (
    UPDATE /* TEMPLATE: schema */message m SET
        body_sha256 = CASE WHEN x.keep = 'hash' THEN sha256(coalesce(m.body, '')) END, body = NULL, gone = true
    FROM ended x WHERE m.intent_id = x.id
), states AS (
    UPDATE /* TEMPLATE: schema */intent_state s SET keep = NULL, keep_at = NULL FROM ended x WHERE s.intent_id = x.id
), intents AS (
    UPDATE /* TEMPLATE: schema */intent i SET
        data_sha256 = CASE WHEN x.keep = 'hash' THEN sha256(i.data) END, data = NULL,
        gone = CASE WHEN x.keep = 'hash' THEN 'hashed' ELSE 'dropped' END, gone_at = now()
    FROM ended x WHERE i.id = x.id
)
SELECT count(*)::integer AS reduced FROM ended x;

-- name: PruneHealth :one
-- PruneHealth looks at the next counts, in the order of their subscriptions, and prunes
-- those of epochs that are over, except for a wait that runs still: the next activation
-- takes it over. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT h.subscription_id, h.epoch FROM /* TEMPLATE: schema */subscription_health h
    WHERE (h.subscription_id, h.epoch) > (sqlc.arg(after)::uuid, sqlc.arg(after_epoch)::integer)
    ORDER BY h.subscription_id, h.epoch
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT d.subscription_id, d.epoch FROM seen n CROSS JOIN LATERAL (
        SELECT o.subscription_id, o.epoch
        FROM /* TEMPLATE: schema */subscription_health o
        JOIN /* TEMPLATE: schema */subscription s ON s.id = o.subscription_id
        WHERE o.subscription_id = n.subscription_id AND o.epoch = n.epoch
            AND (o.epoch < s.epoch AND (o.asked_until > now()) IS NOT TRUE OR s.deleted_at IS NOT NULL)
        FOR UPDATE OF o SKIP LOCKED
    ) d
), pruned AS (
    DELETE FROM /* TEMPLATE: schema */subscription_health h USING doomed x WHERE h.subscription_id = x.subscription_id AND h.epoch = x.epoch
), last AS MATERIALIZED (
    SELECT n.subscription_id, n.epoch FROM seen n ORDER BY n.subscription_id DESC, n.epoch DESC LIMIT 1
)
SELECT
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT l.subscription_id FROM last l), sqlc.arg(after)::uuid)::uuid AS last,
    coalesce((SELECT l.epoch FROM last l), sqlc.arg(after_epoch)::integer)::integer AS last_epoch;

-- name: PruneErasures :one
-- PruneErasures looks at the next erasures, and forgets those that were made so long ago
-- that no question about their resources can still be under way. It returns where the next
-- step begins.
WITH seen AS MATERIALIZED (
    SELECT e.resource FROM /* TEMPLATE: schema */erasure e
    WHERE e.resource > sqlc.arg(after)::bytea
    ORDER BY e.resource
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT d.resource FROM seen n CROSS JOIN LATERAL (
        SELECT o.resource FROM /* TEMPLATE: schema */erasure o
        WHERE o.resource = n.resource AND o.erased_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
        FOR UPDATE SKIP LOCKED
    ) d
), pruned AS (
    DELETE FROM /* TEMPLATE: schema */erasure e USING doomed x WHERE e.resource = x.resource
)
SELECT
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.resource FROM seen n ORDER BY n.resource DESC LIMIT 1), sqlc.arg(after)::bytea)::bytea AS last;
