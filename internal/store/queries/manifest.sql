-- name: LockManifest :exec
-- Whoever applies a manifest holds this lock, so that of several processes that
-- start with the same file one applies it and the others find it applied.
SELECT pg_advisory_xact_lock(hashtextextended('riverhook manifest /* TEMPLATE: schema_name */ ' || @name::text, 0));

-- name: LockManifestSubscriptions :many
-- LockManifestSubscriptions locks those of a manifest, in the order of their ids.
SELECT id, manifest_key, state, state_reason FROM /* TEMPLATE: schema */subscription
WHERE manifest = @manifest AND deleted_at IS NULL
ORDER BY id
FOR UPDATE;

-- name: SetManifestKey :exec
UPDATE /* TEMPLATE: schema */subscription SET manifest = @manifest, manifest_key = @manifest_key WHERE id = @id;
