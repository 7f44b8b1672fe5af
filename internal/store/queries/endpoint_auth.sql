-- name: SetEndpointAuth :exec
-- SetEndpointAuth stores values of a subscription and removes others.
WITH removed AS (
    DELETE FROM /* TEMPLATE: schema */endpoint_auth a
    WHERE a.subscription_id = @subscription_id::uuid AND a.kind = ANY (@removed::text[])
)
INSERT INTO /* TEMPLATE: schema */endpoint_auth (id, subscription_id, kind, value, sealed)
SELECT
    unnest(@ids::text[])::uuid, @subscription_id::uuid, unnest(@kinds::text[]), unnest(@stored::bytea[]), unnest(@is_sealed::boolean[])
ON CONFLICT (subscription_id, kind) DO UPDATE SET id = excluded.id, value = excluded.value, sealed = excluded.sealed;

-- name: LoadEndpointAuths :many
-- LoadEndpointAuths loads what there is for some subscriptions; one that has
-- nothing any more comes with an empty kind.
SELECT s.id AS subscription_id, s.credentials_version, a.id, coalesce(a.kind, '') AS kind, a.value, coalesce(a.sealed, false)::boolean AS sealed
FROM /* TEMPLATE: schema */subscription s
LEFT JOIN /* TEMPLATE: schema */endpoint_auth a ON a.subscription_id = s.id
WHERE s.id = ANY ((@ids::text[])::uuid[]);

-- name: ResealEndpointAuth :execrows
-- ResealEndpointAuth replaces a value by itself, sealed anew, unless it has changed.
UPDATE /* TEMPLATE: schema */endpoint_auth a SET value = sqlc.arg(fresh), sealed = sqlc.arg(sealed)
WHERE a.id = sqlc.arg(id) AND a.value = sqlc.arg(former);
