-- name: ListSecrets :many
-- ListSecrets lists the secrets of a subscription, at a site or below it, that have
-- not expired, newest first; one that is pending is the newest.
SELECT
    k.id, k.value, k.sealed, k.public_key, k.created_at, k.expires_at,
    (k.pending_overlap_ms IS NOT NULL)::boolean AS pending
FROM /* TEMPLATE: schema */secret k
JOIN /* TEMPLATE: schema */subscription o ON o.id = k.subscription_id
WHERE k.subscription_id = sqlc.arg(subscription_id) AND (k.expires_at IS NULL OR k.expires_at > now())
    AND (sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
        OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0'))
ORDER BY k.created_at DESC, k.id DESC;

-- name: RotateSecret :exec
-- RotateSecret adds a secret and lets the others expire after the overlap, none
-- later than it would have. What is expired by then, or beyond the newest, goes;
-- so does one that is pending.
WITH ranked AS (
    SELECT k.id, k.expires_at, k.pending_overlap_ms IS NOT NULL AS pending,
        row_number() OVER (PARTITION BY k.pending_overlap_ms IS NULL ORDER BY k.created_at DESC, k.id DESC) AS rank
    FROM /* TEMPLATE: schema */secret k WHERE k.subscription_id = sqlc.arg(subscription_id)
), dropped AS (
    DELETE FROM /* TEMPLATE: schema */secret k USING ranked r
    WHERE k.id = r.id
        AND (r.pending OR sqlc.arg(overlap_ms)::bigint = 0 OR r.rank >= sqlc.arg(max_live)::integer OR r.expires_at <= now())
), expiring AS (
    UPDATE /* TEMPLATE: schema */secret k
    SET expires_at = least(k.expires_at, now() + sqlc.arg(overlap_ms)::bigint * interval '1 millisecond')
    FROM ranked r
    WHERE k.id = r.id AND NOT r.pending AND sqlc.arg(overlap_ms)::bigint > 0 AND r.rank < sqlc.arg(max_live)::integer
        AND (r.expires_at IS NULL OR r.expires_at > now())
)
INSERT INTO /* TEMPLATE: schema */secret (id, subscription_id, value, sealed, public_key)
VALUES (sqlc.arg(id), sqlc.arg(subscription_id), sqlc.arg(value), sqlc.arg(sealed), sqlc.arg(public_key));

-- name: AddPendingSecret :exec
-- AddPendingSecret adds a secret that signs nothing yet, in the place of one that
-- is pending already.
WITH replaced AS (
    DELETE FROM /* TEMPLATE: schema */secret k
    WHERE k.subscription_id = sqlc.arg(subscription_id) AND k.pending_overlap_ms IS NOT NULL
)
INSERT INTO /* TEMPLATE: schema */secret (id, subscription_id, value, sealed, public_key, pending_overlap_ms)
VALUES (
    sqlc.arg(id), sqlc.arg(subscription_id), sqlc.arg(value), sqlc.arg(sealed), sqlc.arg(public_key), sqlc.arg(overlap_ms)::bigint);

-- name: ConfirmSecret :execrows
-- ConfirmSecret lets a secret that is pending take over, as RotateSecret does with
-- the overlap that it was added with.
WITH fresh AS (
    SELECT k.id, k.pending_overlap_ms * interval '1 millisecond' AS overlap FROM /* TEMPLATE: schema */secret k
    WHERE k.id = sqlc.arg(id) AND k.subscription_id = sqlc.arg(subscription_id) AND k.pending_overlap_ms IS NOT NULL
), ranked AS (
    SELECT k.id, k.expires_at, f.overlap, row_number() OVER (ORDER BY k.created_at DESC, k.id DESC) AS rank
    FROM /* TEMPLATE: schema */secret k CROSS JOIN fresh f
    WHERE k.subscription_id = sqlc.arg(subscription_id) AND k.id <> f.id
), dropped AS (
    DELETE FROM /* TEMPLATE: schema */secret k USING ranked r
    WHERE k.id = r.id AND (r.rank >= sqlc.arg(max_live)::integer OR r.expires_at <= now())
), expiring AS (
    UPDATE /* TEMPLATE: schema */secret k SET expires_at = least(k.expires_at, now() + r.overlap)
    FROM ranked r
    WHERE k.id = r.id AND r.rank < sqlc.arg(max_live)::integer AND (r.expires_at IS NULL OR r.expires_at > now())
)
UPDATE /* TEMPLATE: schema */secret k SET pending_overlap_ms = NULL FROM fresh f WHERE k.id = f.id;

-- name: RevokeSecret :exec
-- RevokeSecret deletes a secret, and lets the newest that signs then last.
WITH gone AS (
    DELETE FROM /* TEMPLATE: schema */secret k WHERE k.id = sqlc.arg(id) AND k.subscription_id = sqlc.arg(subscription_id)
)
UPDATE /* TEMPLATE: schema */secret k SET expires_at = NULL
WHERE k.id = (
    SELECT o.id FROM /* TEMPLATE: schema */secret o
    WHERE o.subscription_id = sqlc.arg(subscription_id) AND o.id <> sqlc.arg(id) AND o.pending_overlap_ms IS NULL
        AND (o.expires_at IS NULL OR o.expires_at > now())
    ORDER BY o.created_at DESC, o.id DESC
    LIMIT 1);

-- name: SecretsAfter :many
-- SecretsAfter goes by id through all that is sealed for subscriptions at a site
-- and below it; the kind of a signing secret is empty.
SELECT x.id, x.subscription_id, x.kind, x.value, x.sealed, o.url
FROM (
    SELECT k.id, k.subscription_id, ''::text AS kind, k.value, k.sealed FROM /* TEMPLATE: schema */secret k
    WHERE k.id > sqlc.arg(after)::uuid
    UNION ALL
    SELECT a.id, a.subscription_id, a.kind, a.value, a.sealed FROM /* TEMPLATE: schema */endpoint_auth a
    WHERE a.id > sqlc.arg(after)::uuid
) x
JOIN /* TEMPLATE: schema */subscription o ON o.id = x.subscription_id
WHERE sqlc.arg(under)::text = '/' OR o.site = sqlc.arg(under)::text
    OR (o.site > sqlc.arg(under)::text || '/' AND o.site < sqlc.arg(under)::text || '0')
ORDER BY x.id LIMIT sqlc.arg(max_rows)::bigint;

-- name: ResealSecret :execrows
-- ResealSecret replaces a value by itself, sealed anew, unless it has changed.
UPDATE /* TEMPLATE: schema */secret k SET value = sqlc.arg(fresh), sealed = sqlc.arg(sealed)
WHERE k.id = sqlc.arg(id) AND k.value = sqlc.arg(former);
