-- name: InsertSubscription :one
WITH kept AS (
    INSERT INTO /* TEMPLATE: schema */secret (id, subscription_id, value, sealed, public_key)
    VALUES (sqlc.arg(secret_id), sqlc.arg(id), sqlc.arg(secret), sqlc.arg(sealed), sqlc.arg(public_key))
)
INSERT INTO /* TEMPLATE: schema */subscription (
    id, name, description, site, url, events, channels, filter, owner, operator, permission,
    dialect, headers, schedule, timeout_ms, fail_closed, max_in_flight, rate_events, rate_per_ms, rate_burst,
    deactivation, hears_operations, metadata, state,
    credentials, own_root_cas, client_certificate, secret_headers, secret_header_bytes, credentials_version, verification)
VALUES (
    sqlc.arg(id), sqlc.arg(name), sqlc.arg(description), sqlc.arg(site), sqlc.arg(url), sqlc.arg(events)::text[], sqlc.arg(channels)::text[], sqlc.arg(filter), sqlc.arg(owner), sqlc.arg(operator), sqlc.arg(permission),
    sqlc.arg(dialect), (sqlc.arg(headers)::text)::jsonb, sqlc.arg(schedule), sqlc.arg(timeout_ms), sqlc.arg(fail_closed), sqlc.arg(max_in_flight),
    sqlc.arg(rate_events), sqlc.arg(rate_per_ms), sqlc.arg(rate_burst),
    (sqlc.arg(deactivation)::text)::jsonb, sqlc.arg(hears_operations), (sqlc.arg(metadata)::text)::jsonb, sqlc.arg(state),
    sqlc.arg(credentials), sqlc.arg(own_root_cas), sqlc.arg(client_certificate),
    sqlc.arg(secret_headers)::text[], sqlc.arg(secret_header_bytes), sqlc.arg(credentials_version), sqlc.arg(verification))
RETURNING *;

-- name: TakeCreationLocks :exec
-- TakeCreationLocks waits for those who have taken the same locks, in the order of
-- the locks, until their transactions end. Two keys can share a lock.
INSERT INTO /* TEMPLATE: schema */creation_lock AS l (id)
SELECT DISTINCT (hashtextextended(u.key, 0) & 4095)::integer FROM unnest(sqlc.arg(keys)::text[]) AS u (key)
ORDER BY 1
ON CONFLICT (id) DO UPDATE SET taken = l.taken + 1;

-- name: CountSubscriptions :one
SELECT
    (SELECT count(*) FROM /* TEMPLATE: schema */subscription o
    WHERE sqlc.arg(owner)::text <> '' AND o.owner = sqlc.arg(owner)::text AND o.deleted_at IS NULL
        AND (sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
            OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0')))::integer AS of_owner,
    (SELECT count(*) FROM /* TEMPLATE: schema */subscription o
    WHERE o.site = sqlc.arg(site)::text AND o.deleted_at IS NULL AND NOT o.stranded)::integer AS at_site;

-- name: GetSubscription :one
SELECT * FROM /* TEMPLATE: schema */subscription WHERE id = sqlc.arg(id) AND deleted_at IS NULL;

-- name: LockSubscription :one
SELECT * FROM /* TEMPLATE: schema */subscription WHERE id = sqlc.arg(id) AND deleted_at IS NULL FOR UPDATE;

-- name: UpdateSubscription :one
UPDATE /* TEMPLATE: schema */subscription SET
    name = sqlc.arg(name), description = sqlc.arg(description), site = sqlc.arg(site), url = sqlc.arg(url), url_version = url_version + (url <> sqlc.arg(url))::integer,
    origin_version = CASE WHEN sqlc.arg(elsewhere)::boolean AND url <> sqlc.arg(url) THEN url_version + 1 ELSE origin_version END, events = sqlc.arg(events)::text[],
    channels = sqlc.arg(channels)::text[], filter = sqlc.arg(filter), permission = sqlc.arg(permission), dialect = sqlc.arg(dialect), headers = (sqlc.arg(headers)::text)::jsonb,
    schedule = sqlc.arg(schedule), timeout_ms = sqlc.arg(timeout_ms), fail_closed = sqlc.arg(fail_closed), max_in_flight = sqlc.arg(max_in_flight),
    rate_events = sqlc.arg(rate_events), rate_per_ms = sqlc.arg(rate_per_ms), rate_burst = sqlc.arg(rate_burst),
    deactivation = (sqlc.arg(deactivation)::text)::jsonb, hears_operations = sqlc.arg(hears_operations),
    metadata = (sqlc.arg(metadata)::text)::jsonb, credentials = sqlc.arg(credentials), own_root_cas = sqlc.arg(own_root_cas),
    client_certificate = sqlc.arg(client_certificate), secret_headers = sqlc.arg(secret_headers)::text[],
    secret_header_bytes = sqlc.arg(secret_header_bytes), credentials_version = sqlc.arg(credentials_version),
    verification = sqlc.arg(verification), verified_at = sqlc.arg(verified_at), verification_error = sqlc.arg(verification_error),
    pending_url = sqlc.arg(pending_url), stranded = sqlc.arg(stranded), updated_at = now()
WHERE id = sqlc.arg(id)
RETURNING *;

-- name: SetSubscriptionState :exec
UPDATE /* TEMPLATE: schema */subscription SET
    state = sqlc.arg(state), state_reason = sqlc.arg(reason), state_since = now(), updated_at = now(),
    epoch = epoch + CASE WHEN sqlc.arg(state) = 'deactivated' THEN 1 ELSE 0 END
WHERE id = sqlc.arg(id);

-- name: CloseCircuit :exec
-- CloseCircuit closes the circuit that failures of a subscription's endpoint opened,
-- without waiting for who counts them.
UPDATE /* TEMPLATE: schema */subscription SET circuit_version = circuit_version + 1 WHERE id = @id;

-- name: KeepWait :exec
-- KeepWait carries a wait that the endpoint has asked for into the epoch that an
-- activation begins. Nobody waits for the row: nothing is counted in an epoch before it
-- is activated.
INSERT INTO /* TEMPLATE: schema */subscription_health (subscription_id, epoch, url_version, origin_version, circuit_version, asked_until)
SELECT s.id, s.epoch, s.url_version, s.origin_version, s.circuit_version, o.asked_until
FROM /* TEMPLATE: schema */subscription s CROSS JOIN LATERAL (
    SELECT h.asked_until FROM /* TEMPLATE: schema */subscription_health h
    WHERE h.subscription_id = s.id AND h.epoch < s.epoch AND h.origin_version = s.origin_version AND h.asked_until > now()
    ORDER BY h.epoch DESC
    LIMIT 1
) o
WHERE s.id = @id
ON CONFLICT (subscription_id, epoch) DO NOTHING;

-- name: LockSubscriptionWithin :many
-- LockSubscriptionWithin locks a subscription at a site or below it.
SELECT o.id FROM /* TEMPLATE: schema */subscription o
WHERE o.id = sqlc.arg(id) AND o.deleted_at IS NULL AND (sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
    OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0'))
FOR UPDATE;

-- name: LockSubscriptionsOf :many
-- LockSubscriptionsOf locks those of an owner at a site and below it, in the order
-- of their ids. Where sites are given, it locks those at one of them only.
SELECT o.id FROM /* TEMPLATE: schema */subscription o
WHERE o.owner = sqlc.arg(owner) AND o.deleted_at IS NULL AND (
    sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
    OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0'))
    AND (cardinality(sqlc.arg(sites)::text[]) = 0 OR o.site = ANY (sqlc.arg(sites)::text[]))
ORDER BY o.id
FOR UPDATE;

-- name: TryLockSubscriptionsOf :many
-- TryLockSubscriptionsOf locks those of them that nobody has locked.
SELECT o.id FROM /* TEMPLATE: schema */subscription o
WHERE o.owner = sqlc.arg(owner) AND o.deleted_at IS NULL AND (
    sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
    OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0'))
    AND (cardinality(sqlc.arg(sites)::text[]) = 0 OR o.site = ANY (sqlc.arg(sites)::text[]))
ORDER BY o.id
FOR UPDATE SKIP LOCKED;

-- name: SubscriptionsOf :many
-- SubscriptionsOf finds what LockSubscriptionsOf locks.
SELECT o.id FROM /* TEMPLATE: schema */subscription o
WHERE o.owner = sqlc.arg(owner) AND o.deleted_at IS NULL AND (
    sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
    OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0'))
    AND (cardinality(sqlc.arg(sites)::text[]) = 0 OR o.site = ANY (sqlc.arg(sites)::text[]))
ORDER BY o.id;

-- name: DeleteSubscriptions :exec
-- DeleteSubscriptions deletes subscriptions that the transaction has locked, and
-- takes their secrets, credentials and challenges along at once. It must not be one
-- statement with the lock: a secret that was added just before the lock is seen by a
-- later statement only, and would stay.
WITH kept AS (
    DELETE FROM /* TEMPLATE: schema */secret k WHERE k.subscription_id = ANY ((@ids::text[])::uuid[])
), auth AS (
    DELETE FROM /* TEMPLATE: schema */endpoint_auth a WHERE a.subscription_id = ANY ((@ids::text[])::uuid[])
), challenge AS (
    DELETE FROM /* TEMPLATE: schema */endpoint_challenge c WHERE c.subscription_id = ANY ((@ids::text[])::uuid[])
)
UPDATE /* TEMPLATE: schema */subscription s SET deleted_at = now(), updated_at = now() WHERE s.id = ANY ((@ids::text[])::uuid[]);

-- name: ListSubscriptions :many
SELECT * FROM /* TEMPLATE: schema */subscription
WHERE id < sqlc.arg(before)
    AND (sqlc.arg(include_deleted)::boolean OR deleted_at IS NULL)
    AND (sqlc.arg(owner)::text = '' OR owner = sqlc.arg(owner)::text)
    AND (sqlc.arg(site)::text = '' OR site = sqlc.arg(site)::text)
    AND (sqlc.arg(under)::text = '/' OR site = sqlc.arg(under)::text OR (site > sqlc.arg(under)::text || '/' AND site < sqlc.arg(under)::text || '0'))
    AND (sqlc.arg(channel)::text = '' OR channels = '{}' OR sqlc.arg(channel)::text = ANY (channels))
    AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
    AND (sqlc.arg(event_type)::text = '' OR events && (sqlc.arg(patterns)::text[] || ARRAY(
        SELECT sqlc.arg(prefix)::text || u.pattern FROM /* TEMPLATE: schema */event_type e, unnest(e.umbrella_patterns) AS u (pattern)
        WHERE e.name = sqlc.arg(event_type)::text)))
ORDER BY id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: ListSubscriptionsOf :many
-- ListSubscriptionsOf is ListSubscriptions by the index of owners.
SELECT * FROM /* TEMPLATE: schema */subscription
WHERE owner = sqlc.arg(owner) AND deleted_at IS NULL AND id < sqlc.arg(before)
    AND (sqlc.arg(site)::text = '' OR site = sqlc.arg(site)::text)
    AND (sqlc.arg(under)::text = '/' OR site = sqlc.arg(under)::text OR (site > sqlc.arg(under)::text || '/' AND site < sqlc.arg(under)::text || '0'))
    AND (sqlc.arg(channel)::text = '' OR channels = '{}' OR sqlc.arg(channel)::text = ANY (channels))
    AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
    AND (sqlc.arg(event_type)::text = '' OR events && (sqlc.arg(patterns)::text[] || ARRAY(
        SELECT sqlc.arg(prefix)::text || u.pattern FROM /* TEMPLATE: schema */event_type e, unnest(e.umbrella_patterns) AS u (pattern)
        WHERE e.name = sqlc.arg(event_type)::text)))
ORDER BY id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: ListSubscriptionsAt :many
-- ListSubscriptionsAt is ListSubscriptions by the index of sites.
SELECT * FROM /* TEMPLATE: schema */subscription
WHERE site = sqlc.arg(site) AND deleted_at IS NULL AND id < sqlc.arg(before)
    AND (sqlc.arg(channel)::text = '' OR channels = '{}' OR sqlc.arg(channel)::text = ANY (channels))
    AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
    AND (sqlc.arg(event_type)::text = '' OR events && (sqlc.arg(patterns)::text[] || ARRAY(
        SELECT sqlc.arg(prefix)::text || u.pattern FROM /* TEMPLATE: schema */event_type e, unnest(e.umbrella_patterns) AS u (pattern)
        WHERE e.name = sqlc.arg(event_type)::text)))
ORDER BY id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: GetSubscriptions :many
SELECT * FROM /* TEMPLATE: schema */subscription WHERE id = ANY ((@ids::text[])::uuid[]) ORDER BY id;
