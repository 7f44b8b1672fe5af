-- name: HeldCauses :many
-- HeldCauses finds the causes that something is held for, after one, by jumping from one to the
-- next in the indexes of what is held: it costs the same however many rows that is. It writes
-- down those that are new, first_ms before they may be probed, and forgets those that nothing
-- was held for when they might have been probed again forget_ms ago.
WITH RECURSIVE deliveries AS (
    -- The causes for which deliveries are held.
    (SELECT d.cause FROM /* TEMPLATE: schema */delivery d
    WHERE d.hold = 'cause' AND d.cause > sqlc.arg(after)::text ORDER BY d.cause LIMIT 1)
    UNION ALL
    SELECT (SELECT d.cause FROM /* TEMPLATE: schema */delivery d
        WHERE d.hold = 'cause' AND d.cause > k.cause ORDER BY d.cause LIMIT 1)
    FROM deliveries k WHERE k.cause IS NOT NULL
), decisions AS (
    -- The causes for which decisions are held.
    (SELECT d.cause FROM /* TEMPLATE: schema */decision d
    WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND d.cause > sqlc.arg(after)::text ORDER BY d.cause LIMIT 1)
    UNION ALL
    SELECT (SELECT d.cause FROM /* TEMPLATE: schema */decision d
        WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND d.cause > k.cause ORDER BY d.cause LIMIT 1)
    FROM decisions k WHERE k.cause IS NOT NULL
), found AS MATERIALIZED (
    -- The next ones of both.
    SELECT u.cause FROM (
        (SELECT k.cause FROM deliveries k WHERE k.cause IS NOT NULL LIMIT sqlc.arg(max_rows)::integer)
        UNION
        (SELECT k.cause FROM decisions k WHERE k.cause IS NOT NULL LIMIT sqlc.arg(max_rows)::integer)
    ) u
    ORDER BY u.cause
    LIMIT sqlc.arg(max_rows)::integer
), added AS (
    -- Those that are new.
    INSERT INTO /* TEMPLATE: schema */cause (name, probe_at)
    SELECT f.cause, now() + sqlc.arg(first_ms)::bigint * interval '1 millisecond' FROM found f
    WHERE NOT EXISTS (SELECT FROM /* TEMPLATE: schema */cause c WHERE c.name = f.cause)
    ON CONFLICT (name) DO NOTHING
), forgotten AS (
    -- Those that are over.
    DELETE FROM /* TEMPLATE: schema */cause c
    WHERE c.name > sqlc.arg(after)::text AND c.probe_at < now() - sqlc.arg(forget_ms)::bigint * interval '1 millisecond'
        AND c.name NOT IN (SELECT f.cause FROM found f)
        AND ((SELECT count(*) FROM found) < sqlc.arg(max_rows)::integer OR c.name < (SELECT max(f.cause) FROM found f))
)
SELECT f.cause::text AS name, coalesce(c.tries, 0)::integer AS tries, coalesce(c.probe_at <= now(), false)::boolean AS due
FROM found f LEFT JOIN /* TEMPLATE: schema */cause c ON c.name = f.cause
ORDER BY f.cause;

-- name: ClaimCause :many
-- ClaimCause claims the next probe of a cause, unless another engine has claimed it meanwhile. The
-- one after it may be then, whatever becomes of the engine.
UPDATE /* TEMPLATE: schema */cause c SET
    tries = c.tries + 1, probed_at = now(), probe_at = now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond'
WHERE c.name = sqlc.arg(name) AND c.tries = sqlc.arg(tries)::integer
RETURNING c.name;

-- name: EndCause :many
-- EndCause writes down that a probe has gone well.
UPDATE /* TEMPLATE: schema */cause c SET tries = 0 WHERE c.name = sqlc.arg(name) AND c.tries > 0
RETURNING c.name;

-- name: ReleaseDeliveries :many
-- ReleaseDeliveries lets deliveries go on that are held for a cause, by turns of their shares: of
-- each share after the last one that was visited the oldest few that were not released before.
-- It jumps from share to share in the index, and skips what others have locked. Where a process
-- is given their River jobs are running there, as if River had fetched them. If only one share is
-- asked for, max_shares is 1. It returns where the next step begins with the jobs, or alone; nothing
-- where there is no share after the last one.
WITH RECURSIVE visited AS (
    -- The next shares that have a delivery, each with its number.
    (SELECT o.cause_share AS share, 1 AS n FROM /* TEMPLATE: schema */delivery o
    WHERE o.hold = 'cause' AND o.cause = sqlc.arg(cause)::text
        AND o.cause_share > sqlc.arg(after)::text AND o.cause_share >= sqlc.arg(one_share)::text
    ORDER BY o.cause_share LIMIT 1)
    UNION ALL
    SELECT (SELECT o.cause_share FROM /* TEMPLATE: schema */delivery o
        WHERE o.hold = 'cause' AND o.cause = sqlc.arg(cause)::text AND o.cause_share > v.share
        ORDER BY o.cause_share LIMIT 1), v.n + 1
    FROM visited v
    WHERE v.share IS NOT NULL AND v.n < sqlc.arg(max_shares)::integer
), picked AS MATERIALIZED (
    -- Their first deliveries.
    SELECT d.row_ctid, v.share FROM visited v CROSS JOIN LATERAL (
        SELECT o.ctid AS row_ctid FROM /* TEMPLATE: schema */delivery o
        WHERE o.hold = 'cause' AND o.cause = sqlc.arg(cause)::text AND o.cause_share = v.share
        ORDER BY o.probes, o.intent_id
        LIMIT sqlc.arg(each)::integer
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE v.share IS NOT NULL AND (sqlc.arg(one_share)::text = '' OR v.share = sqlc.arg(one_share)::text)
    LIMIT sqlc.arg(max_rows)::integer
), moved AS (
    -- They go on.
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', due_at = now(), reason = '',
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    FROM picked p
    WHERE d.ctid = p.row_ctid
    RETURNING d.id, d.job_id, p.share
), job AS (
    -- Their jobs.
    INSERT INTO /* TEMPLATE: schema */river_job (
        id, args, kind, max_attempts, queue, state, scheduled_at, tags, attempt, attempted_at, attempted_by)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue,
        CASE WHEN sqlc.arg(process)::text = '' THEN j.state ELSE 'running' END, j.scheduled_at, j.tags,
        CASE WHEN sqlc.arg(process)::text = '' THEN 0 ELSE 1 END,
        CASE WHEN sqlc.arg(process)::text <> '' THEN now() END,
        CASE WHEN sqlc.arg(process)::text <> '' THEN ARRAY[sqlc.arg(process)::text] END
    FROM moved m CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, m.share, now()) j
    RETURNING id, kind, args, max_attempts, queue, tags[1] AS tag
), last AS (
    -- Where this step has ended.
    SELECT max(v.n) FILTER (WHERE v.share IS NOT NULL) AS shares, max(v.share) AS share FROM visited v
)
SELECT coalesce(j.id, 0)::bigint AS job_id, coalesce(j.kind, '')::text AS kind, coalesce(j.args, '{}')::jsonb AS args,
    coalesce(j.max_attempts, 0)::integer AS max_attempts, coalesce(j.queue, '')::text AS queue, coalesce(j.tag, '')::text AS tag,
    coalesce(m.id, '00000000-0000-0000-0000-000000000000')::uuid AS delivery_id, coalesce(m.share, '')::text AS share,
    l.share::text AS last, (l.shares = sqlc.arg(max_shares)::integer)::boolean AS more
FROM last l LEFT JOIN (job j JOIN moved m ON m.job_id = j.id) ON true
WHERE l.share IS NOT NULL;

-- name: ReleaseDecisions :many
-- ReleaseDecisions does for decisions what ReleaseDeliveries does for deliveries. Those of one
-- intent share a job, which decides anew.
WITH RECURSIVE visited AS (
    -- The next shares that have a decision, each with its number.
    (SELECT o.cause_share AS share, 1 AS n FROM /* TEMPLATE: schema */decision o
    WHERE o.outcome = 'waiting' AND o.due_at IS NULL AND o.cause = sqlc.arg(cause)::text
        AND o.cause_share > sqlc.arg(after)::text AND o.cause_share >= sqlc.arg(one_share)::text
    ORDER BY o.cause_share LIMIT 1)
    UNION ALL
    SELECT (SELECT o.cause_share FROM /* TEMPLATE: schema */decision o
        WHERE o.outcome = 'waiting' AND o.due_at IS NULL AND o.cause = sqlc.arg(cause)::text AND o.cause_share > v.share
        ORDER BY o.cause_share LIMIT 1), v.n + 1
    FROM visited v
    WHERE v.share IS NOT NULL AND v.n < sqlc.arg(max_shares)::integer
), picked AS MATERIALIZED (
    -- Their first decisions.
    SELECT d.row_ctid, d.intent_id, v.share FROM visited v CROSS JOIN LATERAL (
        SELECT o.ctid AS row_ctid, o.intent_id FROM /* TEMPLATE: schema */decision o
        WHERE o.outcome = 'waiting' AND o.due_at IS NULL AND o.cause = sqlc.arg(cause)::text AND o.cause_share = v.share
        ORDER BY o.probes, o.intent_id
        LIMIT sqlc.arg(each)::integer
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE v.share IS NOT NULL AND (sqlc.arg(one_share)::text = '' OR v.share = sqlc.arg(one_share)::text)
    LIMIT sqlc.arg(max_rows)::integer
), numbered AS (
    -- A job for each of their intents.
    SELECT i.intent_id, i.share, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT DISTINCT p.intent_id, p.share FROM picked p) i
), moved AS (
    -- They wait for that job.
    UPDATE /* TEMPLATE: schema */decision d SET job_id = n.job_id, due_at = now()
    FROM picked p JOIN numbered n USING (intent_id)
    WHERE d.ctid = p.row_ctid
    RETURNING d.intent_id, d.subscription_id, n.job_id, n.share
), job AS (
    -- Those jobs.
    INSERT INTO /* TEMPLATE: schema */river_job (
        id, args, kind, max_attempts, queue, state, scheduled_at, tags, attempt, attempted_at, attempted_by)
    SELECT n.job_id, j.args, j.kind, j.max_attempts, j.queue,
        CASE WHEN sqlc.arg(process)::text = '' THEN j.state ELSE 'running' END, j.scheduled_at, j.tags,
        CASE WHEN sqlc.arg(process)::text = '' THEN 0 ELSE 1 END,
        CASE WHEN sqlc.arg(process)::text <> '' THEN now() END,
        CASE WHEN sqlc.arg(process)::text <> '' THEN ARRAY[sqlc.arg(process)::text] END
    FROM numbered n CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(n.intent_id, n.share, now()) j
    RETURNING id, kind, args, max_attempts, queue, tags[1] AS tag
), last AS (
    -- Where this step has ended.
    SELECT max(v.n) FILTER (WHERE v.share IS NOT NULL) AS shares, max(v.share) AS share FROM visited v
)
SELECT coalesce(j.id, 0)::bigint AS job_id, coalesce(j.kind, '')::text AS kind, coalesce(j.args, '{}')::jsonb AS args,
    coalesce(j.max_attempts, 0)::integer AS max_attempts, coalesce(j.queue, '')::text AS queue, coalesce(j.tag, '')::text AS tag,
    coalesce(m.intent_id, '00000000-0000-0000-0000-000000000000')::uuid AS intent_id,
    ARRAY(SELECT o.subscription_id::text FROM moved o WHERE o.job_id = j.id)::text[] AS subscriptions,
    coalesce(m.share, '')::text AS share,
    l.share::text AS last, (l.shares = sqlc.arg(max_shares)::integer)::boolean AS more
FROM last l LEFT JOIN (job j JOIN numbered m ON m.job_id = j.id) ON true
WHERE l.share IS NOT NULL;

-- name: HeldAgain :many
-- HeldAgain counts by its share which of what was released for a cause is held for it again.
SELECT h.share::text AS share, count(*)::integer AS held
FROM (
    SELECT k.share
    FROM (SELECT unnest(sqlc.arg(deliveries)::text[])::uuid AS id, unnest(sqlc.arg(delivery_shares)::text[]) AS share) k
    JOIN /* TEMPLATE: schema */delivery d USING (id)
    WHERE d.hold = 'cause' AND d.cause = sqlc.arg(cause)::text
    UNION ALL
    SELECT k.share
    FROM (SELECT
        unnest(sqlc.arg(intents)::text[])::uuid AS intent_id,
        unnest(sqlc.arg(subscriptions)::text[])::uuid AS subscription_id,
        unnest(sqlc.arg(decision_shares)::text[]) AS share
    ) k
    JOIN /* TEMPLATE: schema */decision d USING (intent_id, subscription_id)
    WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND d.cause = sqlc.arg(cause)::text
) h
GROUP BY h.share;

-- name: ExpireDecisions :many
-- ExpireDecisions ends decisions that were held for too long.
UPDATE /* TEMPLATE: schema */decision d SET outcome = 'failed', reason = 'held for too long: ' || d.reason, decided_at = now()
WHERE d.ctid = ANY (ARRAY(
    SELECT o.ctid FROM /* TEMPLATE: schema */decision o
    WHERE o.outcome = 'waiting' AND o.due_at IS NULL AND o.held_since < now() - sqlc.arg(max_hold_ms)::bigint * interval '1 millisecond'
    ORDER BY o.held_since
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE SKIP LOCKED))
RETURNING d.intent_id;

-- name: ReviewCauses :many
-- ReviewCauses finds the next subscriptions and causes that something is held for, by jumping from
-- one pair to the next in the indexes of what is held. It says which subscriptions are not in
-- force, and which do not need what is waited for any more: they have another schedule or dialect, are
-- an operator's, or have nothing that the key has sealed. A delivery keeps its dialect.
WITH RECURSIVE deliveries AS (
    -- The pairs of which deliveries are held.
    (SELECT d.subscription_id, d.cause FROM /* TEMPLATE: schema */delivery d
    WHERE d.hold = 'cause' AND (d.subscription_id, d.cause) > (sqlc.arg(after)::uuid, sqlc.arg(after_cause)::text)
    ORDER BY d.subscription_id, d.cause LIMIT 1)
    UNION ALL
    SELECT n.subscription_id, n.cause FROM deliveries k CROSS JOIN LATERAL (
        SELECT d.subscription_id, d.cause FROM /* TEMPLATE: schema */delivery d
        WHERE d.hold = 'cause' AND (d.subscription_id, d.cause) > (k.subscription_id, k.cause)
        ORDER BY d.subscription_id, d.cause LIMIT 1
    ) n
), decisions AS (
    -- The pairs of which decisions are held.
    (SELECT d.subscription_id, d.cause FROM /* TEMPLATE: schema */decision d
    WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND (d.subscription_id, d.cause) > (sqlc.arg(after)::uuid, sqlc.arg(after_cause)::text)
    ORDER BY d.subscription_id, d.cause LIMIT 1)
    UNION ALL
    SELECT n.subscription_id, n.cause FROM decisions k CROSS JOIN LATERAL (
        SELECT d.subscription_id, d.cause FROM /* TEMPLATE: schema */decision d
        WHERE d.outcome = 'waiting' AND d.due_at IS NULL AND (d.subscription_id, d.cause) > (k.subscription_id, k.cause)
        ORDER BY d.subscription_id, d.cause LIMIT 1
    ) n
), found AS MATERIALIZED (
    -- The next ones of both.
    SELECT u.subscription_id, u.cause, bool_or(u.delivery) AS delivery, bool_or(NOT u.delivery) AS decision
    FROM (
        (SELECT k.subscription_id, k.cause, true AS delivery FROM deliveries k LIMIT sqlc.arg(max_rows)::integer)
        UNION ALL
        (SELECT k.subscription_id, k.cause, false FROM decisions k LIMIT sqlc.arg(max_rows)::integer)
    ) u
    GROUP BY u.subscription_id, u.cause
    ORDER BY u.subscription_id, u.cause
    LIMIT sqlc.arg(max_rows)::integer
)
SELECT f.subscription_id, f.cause::text AS cause, s.state, s.state_reason, (s.deleted_at IS NOT NULL)::boolean AS deleted,
    (CASE split_part(f.cause, ':', 1)
        WHEN 'schedule' THEN f.cause <> 'schedule:' || s.schedule
        WHEN 'dialect' THEN f.decision AND NOT f.delivery AND f.cause <> 'dialect:' || s.dialect
        WHEN 'checker' THEN s.operator
        WHEN 'check' THEN s.operator
        WHEN 'key' THEN NOT EXISTS (
            SELECT FROM /* TEMPLATE: schema */secret k
            WHERE k.subscription_id = s.id AND k.sealed AND k.pending_overlap_ms IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                AND starts_with(encode(k.value, 'hex'), lower(substr(f.cause, 5)))
        ) AND NOT EXISTS (
            SELECT FROM /* TEMPLATE: schema */endpoint_auth a
            WHERE a.subscription_id = s.id AND a.sealed AND starts_with(encode(a.value, 'hex'), lower(substr(f.cause, 5))))
        ELSE false
    END)::boolean AS resolved
FROM found f JOIN /* TEMPLATE: schema */subscription s ON s.id = f.subscription_id
ORDER BY f.subscription_id, f.cause;

-- name: ReleaseResolved :many
-- ReleaseResolved lets the oldest of a subscription go on that are held for a cause which does not
-- concern it any more.
WITH deliveries AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', due_at = now(), reason = '',
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM /* TEMPLATE: schema */delivery o
        WHERE o.hold = 'cause' AND o.subscription_id = sqlc.arg(subscription_id) AND o.cause = sqlc.arg(cause)::text
        ORDER BY o.intent_id
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING d.id, d.job_id, d.cause_share AS share
), deliver_job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM deliveries m CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, m.share, now()) j
), decisions AS (
    UPDATE /* TEMPLATE: schema */decision d SET due_at = now(), job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
    WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM /* TEMPLATE: schema */decision o
        WHERE o.outcome = 'waiting' AND o.due_at IS NULL AND o.subscription_id = sqlc.arg(subscription_id) AND o.cause = sqlc.arg(cause)::text
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING d.intent_id, d.job_id, d.cause_share AS share
), decide_job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM decisions m CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(m.intent_id, m.share, now()) j
)
SELECT ((SELECT count(*) FROM deliveries) + (SELECT count(*) FROM decisions))::integer AS released;

-- name: EndCaused :many
-- EndCaused ends what is held for a cause of a subscription that is no more in force: deliveries
-- are cancelled, and decisions are as if they were made now.
WITH cancelled AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'cancelled', hold = '', held_since = NULL, reason = sqlc.arg(reason), ended_at = now()
    WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.hold = 'cause'
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING d.id
), decided AS (
    UPDATE /* TEMPLATE: schema */decision d SET outcome = 'inactive', reason = sqlc.arg(reason), decided_at = now()
    WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM /* TEMPLATE: schema */decision o
        WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.outcome = 'waiting' AND o.due_at IS NULL
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED))
    RETURNING d.intent_id
)
SELECT ((SELECT count(*) FROM cancelled) + (SELECT count(*) FROM decided))::integer AS ended;

-- name: ListCauses :many
-- ListCauses counts what is held by its cause.
SELECT h.cause::text AS name, sum(h.deliveries)::bigint AS deliveries, sum(h.decisions)::bigint AS decisions,
    coalesce(min(h.since), now())::timestamptz AS since, c.probed_at, c.probe_at
FROM (
    SELECT d.cause, count(*) AS deliveries, 0 AS decisions, min(d.held_since) AS since
    FROM /* TEMPLATE: schema */delivery d WHERE d.hold = 'cause' GROUP BY d.cause
    UNION ALL
    SELECT d.cause, 0, count(*), min(d.held_since)
    FROM /* TEMPLATE: schema */decision d WHERE d.outcome = 'waiting' AND d.due_at IS NULL GROUP BY d.cause
) h LEFT JOIN /* TEMPLATE: schema */cause c ON c.name = h.cause
GROUP BY h.cause, c.probed_at, c.probe_at
ORDER BY h.cause
LIMIT sqlc.arg(max_rows)::integer;
