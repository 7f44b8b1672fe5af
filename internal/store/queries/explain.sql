-- name: ExplainRecorded :many
-- ExplainRecorded finds what was recorded of an intent for each subscription:
-- a delivery or another decision. Where subscriptions are given, it is for those only.
SELECT
    x.subscription_id, x.delivery_id, x.outcome, x.hold, x.cause, x.held_since, x.reason, x.matched_site, x.matched_pattern, x.dialect,
    x.round, x.attempts, x.last_outcome, x.last_status, x.due_at, x.ended_at,
    s.name, s.url, s.owner, s.operator, s.permission, s.site, s.channels
FROM (
    SELECT
        d.subscription_id, d.id::text AS delivery_id, d.state AS outcome, d.hold,
        (CASE WHEN d.hold = 'cause' THEN d.cause ELSE '' END)::text AS cause,
        d.held_since, d.reason, d.matched_site, d.matched_pattern,
        d.dialect, d.round,
        (SELECT count(*) FROM /* TEMPLATE: schema */attempt a WHERE a.delivery_id = d.id)::integer AS attempts,
        d.last_outcome, d.last_status,
        coalesce(d.due_at, d.created_at) AS due_at, d.ended_at
    FROM /* TEMPLATE: schema */delivery d
    WHERE d.intent_id = @intent_id
        AND (cardinality(@subscriptions::text[]) = 0 OR d.subscription_id = ANY ((@subscriptions::text[])::uuid[]))
    UNION ALL
    SELECT
        c.subscription_id, '', c.outcome, '',
        CASE WHEN c.outcome = 'waiting' AND c.due_at IS NULL THEN c.cause ELSE '' END,
        c.held_since, c.reason, c.matched_site, c.matched_pattern,
        '', 0, c.tries, '', 0, coalesce(c.due_at, c.decided_at), NULL
    FROM /* TEMPLATE: schema */decision c
    WHERE c.intent_id = @intent_id
        AND (cardinality(@subscriptions::text[]) = 0 OR c.subscription_id = ANY ((@subscriptions::text[])::uuid[]))
) x
JOIN /* TEMPLATE: schema */subscription s ON s.id = x.subscription_id
ORDER BY x.subscription_id
LIMIT @max_rows::integer;

-- name: ExplainCandidates :many
-- ExplainCandidates finds each subscription that an explanation can be about: those for
-- which something was recorded of an intent, and those at the given sites.
SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = @intent_id
UNION SELECT c.subscription_id FROM /* TEMPLATE: schema */decision c WHERE c.intent_id = @intent_id
UNION SELECT s.id FROM /* TEMPLATE: schema */subscription s
WHERE s.site = ANY (@sites::text[]) AND NOT s.stranded
    AND (s.deleted_at IS NULL OR s.deleted_at >= (SELECT i.created_at FROM /* TEMPLATE: schema */intent i WHERE i.id = @intent_id));

-- name: ExplainOthers :many
-- ExplainOthers finds the subscriptions at the given sites for which nothing was
-- recorded of an intent, and says which of its conditions they meet now. Those that
-- were deleted before the expansion came to them are there as far as they meet them.
-- Where subscriptions are given, it looks at those only.
SELECT x.*
FROM (SELECT
    s.id, s.name, s.url, s.owner, s.operator, s.site, s.events, s.channels, s.created_at, s.updated_at, s.deleted_at,
    (s.events && (sqlc.arg(patterns)::text[] || ARRAY(
        SELECT sqlc.arg(prefix)::text || u.pattern FROM /* TEMPLATE: schema */event_type e, unnest(e.umbrella_patterns) AS u (pattern)
        WHERE e.name = sqlc.arg(type)::text)))::boolean AS hears_type,
    (s.channels = '{}' OR i.channel = ANY (s.channels))::boolean AS hears_channel
FROM /* TEMPLATE: schema */intent i
JOIN /* TEMPLATE: schema */intent_state t ON t.intent_id = i.id
JOIN /* TEMPLATE: schema */subscription s ON s.site = ANY (sqlc.arg(sites)::text[]) AND NOT s.stranded
    AND (s.deleted_at IS NULL OR s.deleted_at >= i.created_at AND (s.deleted_at > t.ended_at) IS NOT TRUE)
WHERE i.id = sqlc.arg(intent_id)
    AND (cardinality(sqlc.arg(subscriptions)::text[]) = 0 OR s.id = ANY ((sqlc.arg(subscriptions)::text[])::uuid[]))
    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = i.id AND d.subscription_id = s.id)
    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision c WHERE c.intent_id = i.id AND c.subscription_id = s.id)
) x
WHERE x.deleted_at IS NULL OR x.hears_type AND x.hears_channel
ORDER BY x.id
LIMIT sqlc.arg(max_rows)::integer;

-- name: GetIntentState :many
SELECT s.state, s.reason, s.ended_at FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = @intent_id;
