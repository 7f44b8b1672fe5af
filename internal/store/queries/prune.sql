-- name: TryPruneLock :one
-- TryPruneLock keeps two engines from pruning at once, until the transaction
-- ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('riverhook prune ' || sqlc.arg(schema)::text, 0))::boolean AS locked;

-- name: IsFirstEngine :one
-- IsFirstEngine says whether an engine is the one that has run for longest.
SELECT coalesce((
    SELECT e.process = sqlc.arg(process)::text FROM /* TEMPLATE: schema */engine e WHERE NOT e.inbox ORDER BY e.started_at, e.process LIMIT 1
), false)::boolean AS first;

-- name: LockSurplus :one
-- LockSurplus locks the ended deliveries that some subscriptions have beyond what
-- is kept, oldest first, and returns where the next step begins. What was cancelled of
-- the epoch that the last deactivation has ended is neither counted nor pruned: it is
-- there to be recovered. Those whose ids are from a clock that ran ahead are not
-- counted: what has come since would seem older.
WITH subs AS MATERIALIZED (
    SELECT s.id, s.epoch FROM /* TEMPLATE: schema */subscription s
    WHERE s.id > sqlc.arg(after)::uuid
    ORDER BY s.id
    LIMIT sqlc.arg(subscriptions)::integer
), doomed AS MATERIALIZED (
    SELECT d.id
    FROM subs s
    CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = s.id AND o.state <> 'pending' AND NOT (o.state = 'cancelled' AND o.epoch = s.epoch - 1)
            AND o.id <= (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + sqlc.arg(ahead_ms)::bigint), 12, '0') || repeat('f', 20))::uuid
            AND o.id <= (lpad(to_hex((extract(epoch FROM o.created_at) * 1000)::bigint + sqlc.arg(skew_ms)::bigint), 12, '0') || repeat('f', 20))::uuid
        ORDER BY o.id DESC
        OFFSET sqlc.arg(keep)::bigint
        LIMIT 1
    ) newest
    CROSS JOIN LATERAL (
        SELECT o.id FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = s.id AND o.id <= newest.id AND o.state <> 'pending' AND NOT (o.state = 'cancelled' AND o.epoch = s.epoch - 1)
            AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = o.intent_id) IS DISTINCT FROM 'pending'
        ORDER BY o.id
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED
    ) d
    LIMIT sqlc.arg(max_rows)::integer
)
SELECT
    ARRAY(SELECT x.id FROM doomed x)::uuid[] AS ids,
    (SELECT count(*) FROM subs)::integer AS seen,
    coalesce((SELECT s.id FROM subs s ORDER BY s.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: LockOldDeliveries :many
-- LockOldDeliveries locks the deliveries that ended long ago. A delivery is
-- older than its end, so that its id says where to begin. The state of its intent
-- is a sub-select of its own, which no planner turns into a scan of all intents.
SELECT d.id FROM /* TEMPLATE: schema */delivery d
WHERE d.id < (lpad(to_hex(greatest((extract(epoch FROM now()) * 1000)::bigint - sqlc.arg(max_age_ms)::bigint, 0)), 12, '0') || repeat('f', 20))::uuid
    AND d.state <> 'pending' AND d.ended_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
    AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = d.intent_id) IS DISTINCT FROM 'pending'
ORDER BY d.id
LIMIT sqlc.arg(max_rows)::integer
FOR UPDATE OF d SKIP LOCKED;

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
-- PruneDecisions prunes the decisions that were made long ago, in the order of
-- their intents.
WITH doomed AS MATERIALIZED (
    SELECT c.intent_id, c.subscription_id FROM /* TEMPLATE: schema */decision c
    WHERE c.intent_id < (lpad(to_hex(greatest((extract(epoch FROM now()) * 1000)::bigint - sqlc.arg(max_age_ms)::bigint, 0)), 12, '0') || repeat('f', 20))::uuid
        AND c.outcome <> 'waiting' AND c.decided_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
        AND (SELECT i.state FROM /* TEMPLATE: schema */intent_state i WHERE i.intent_id = c.intent_id) IS DISTINCT FROM 'pending'
    ORDER BY c.intent_id, c.subscription_id
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF c SKIP LOCKED
), pruned AS (
    DELETE FROM /* TEMPLATE: schema */decision c USING doomed x
    WHERE c.intent_id = x.intent_id AND c.subscription_id = x.subscription_id AND c.outcome <> 'waiting'
    RETURNING c.intent_id
)
SELECT count(*)::integer AS pruned FROM pruned;

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

-- name: PruneHealth :execrows
-- PruneHealth prunes what was counted in epochs that are over, except for a wait that
-- runs still: the next activation takes it over.
DELETE FROM /* TEMPLATE: schema */subscription_health h
WHERE (h.subscription_id, h.epoch) IN (
    SELECT o.subscription_id, o.epoch
    FROM /* TEMPLATE: schema */subscription_health o
    JOIN /* TEMPLATE: schema */subscription s ON s.id = o.subscription_id
    WHERE o.epoch < s.epoch AND (o.asked_until > now()) IS NOT TRUE OR s.deleted_at IS NOT NULL
    ORDER BY o.subscription_id, o.epoch
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF o SKIP LOCKED);

-- name: PruneErasures :execrows
-- PruneErasures forgets which resources were erased so long ago that no question
-- about them can still be under way.
DELETE FROM /* TEMPLATE: schema */erasure
WHERE resource IN (
    SELECT o.resource FROM /* TEMPLATE: schema */erasure o WHERE o.erased_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond' LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED);
