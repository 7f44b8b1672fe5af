-- name: ListDeliveries :many
-- ListDeliveries is to be planned for its parameters: each filter that is off
-- folds away.
SELECT
    d.id, i.wire_id, i.type, i.site, i.active_site, i.channel, i.resource_kind, i.resource_id, i.actor, i.occurred_at,
    d.subscription_id, s.name, s.url, s.owner, d.dialect, d.matched_site, d.matched_pattern,
    d.state, d.hold, (CASE WHEN d.hold = 'cause' THEN d.cause ELSE '' END)::text AS cause, d.reason, d.round, d.attempts, d.manual, d.last_status, d.last_outcome,
    coalesce(d.due_at, d.created_at)::timestamptz AS due_at, d.held_since,
    d.created_at, d.ended_at
FROM /* TEMPLATE: schema */delivery d
JOIN /* TEMPLATE: schema */intent i ON i.id = d.intent_id
JOIN /* TEMPLATE: schema */subscription s ON s.id = d.subscription_id
WHERE d.id > sqlc.arg(after)::uuid AND d.id < sqlc.arg(before)::uuid
    AND (sqlc.narg(id)::uuid IS NULL OR d.id = sqlc.narg(id)::uuid)
    AND (sqlc.narg(subscription_id)::uuid IS NULL OR d.subscription_id = sqlc.narg(subscription_id)::uuid)
    AND (cardinality(sqlc.arg(subscriptions)::text[]) = 0 OR d.subscription_id = ANY ((sqlc.arg(subscriptions)::text[])::uuid[]))
    AND (sqlc.arg(owner)::text = '' OR s.owner = sqlc.arg(owner)::text)
    AND (sqlc.arg(wire_id)::text = '' OR i.wire_id = sqlc.arg(wire_id)::text)
    AND (sqlc.arg(type_regex)::text = '' OR i.type ~ sqlc.arg(type_regex)::text)
    AND (sqlc.arg(channel)::text = '' OR i.channel = sqlc.arg(channel)::text)
    AND (sqlc.arg(site)::text = '' OR i.site = sqlc.arg(site)::text)
    AND (sqlc.arg(under)::text = '' OR i.site = sqlc.arg(under)::text OR starts_with(i.site, sqlc.arg(under)::text || '/'))
    AND (sqlc.arg(resource_kind)::text = '' OR i.resource_kind = sqlc.arg(resource_kind)::text AND i.resource_kind <> '')
    AND (sqlc.arg(resource_id)::text = '' OR i.resource_id = sqlc.arg(resource_id)::text)
    AND (sqlc.arg(state)::text = '' OR d.state = sqlc.arg(state)::text)
    AND (sqlc.arg(hold)::text = '' OR d.hold = sqlc.arg(hold)::text AND d.hold <> '' AND d.state = 'pending')
    AND (sqlc.narg(since)::timestamptz IS NULL OR d.created_at >= sqlc.narg(since)::timestamptz)
    AND (sqlc.narg(until)::timestamptz IS NULL OR d.created_at < sqlc.narg(until)::timestamptz)
ORDER BY d.id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: ListAttempts :many
SELECT * FROM /* TEMPLATE: schema */attempt WHERE delivery_id = @delivery_id ORDER BY seq;

-- name: GetMessage :many
SELECT m.content_type, m.headers, m.body, m.body_sha256, m.gone
FROM /* TEMPLATE: schema */delivery d
JOIN /* TEMPLATE: schema */message m ON m.intent_id = d.intent_id AND m.dialect = d.dialect
WHERE d.id = @delivery_id;

-- name: ListIntents :many
-- ListIntents is to be planned for its parameters, as ListDeliveries.
SELECT
    i.id, i.wire_id, i.type, i.site, i.active_site, i.channel, i.resource_kind, i.resource_id, i.actor, i.attributes, i.schema_version, i.share,
    (CASE WHEN sqlc.arg(with_data)::boolean THEN i.data END)::bytea AS data,
    coalesce(i.gone, '')::text AS gone, i.gone_at, i.data_sha256,
    i.occurred_at, i.not_before, i.created_at, i.tree_version, s.state, s.reason, s.ended_at
FROM /* TEMPLATE: schema */intent i
JOIN /* TEMPLATE: schema */intent_state s ON s.intent_id = i.id
WHERE i.id > sqlc.arg(after)::uuid AND i.id < sqlc.arg(before)::uuid
    AND (sqlc.arg(wire_id)::text = '' OR i.wire_id = sqlc.arg(wire_id)::text)
    AND (sqlc.arg(type_regex)::text = '' OR i.type ~ sqlc.arg(type_regex)::text)
    AND (sqlc.arg(channel)::text = '' OR i.channel = sqlc.arg(channel)::text)
    AND (sqlc.arg(site)::text = '' OR i.site = sqlc.arg(site)::text)
    AND (sqlc.arg(under)::text = '' OR i.site = sqlc.arg(under)::text OR starts_with(i.site, sqlc.arg(under)::text || '/'))
    AND (sqlc.arg(resource_kind)::text = '' OR i.resource_kind = sqlc.arg(resource_kind)::text AND i.resource_kind <> '')
    AND (sqlc.arg(resource_id)::text = '' OR i.resource_id = sqlc.arg(resource_id)::text)
    AND (sqlc.arg(state)::text = '' OR s.state = sqlc.arg(state)::text)
    AND (sqlc.narg(since)::timestamptz IS NULL OR i.created_at >= sqlc.narg(since)::timestamptz)
    AND (sqlc.narg(until)::timestamptz IS NULL OR i.created_at < sqlc.narg(until)::timestamptz)
ORDER BY i.id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: SubscriptionOfDelivery :many
SELECT d.subscription_id FROM /* TEMPLATE: schema */delivery d WHERE d.id = @delivery_id;
