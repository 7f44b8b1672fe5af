-- name: Isolation :one
SELECT current_setting('transaction_isolation')::text;

-- name: LockSites :exec
-- Whoever changes the tree holds this lock, so that no two changes together
-- can make a cycle; whoever places a subscription shares it.
SELECT pg_advisory_xact_lock(hashtextextended('riverhook site /* TEMPLATE: schema_name */', 0));

-- name: ShareSites :exec
SELECT pg_advisory_xact_lock_shared(hashtextextended('riverhook site /* TEMPLATE: schema_name */', 0));

-- name: GetSite :one
SELECT * FROM /* TEMPLATE: schema */site WHERE path = @path::text;

-- name: InsertSite :one
INSERT INTO /* TEMPLATE: schema */site (id, path, parent_id) VALUES (@id, @path::text, @parent_id)
RETURNING *;

-- name: ListSites :many
SELECT * FROM /* TEMPLATE: schema */site
WHERE path > @after::text
    AND (@under::text = '/' OR path = @under::text OR (path > @under::text || '/' AND path < @under::text || '0'))
ORDER BY path
LIMIT @max_rows::integer;

-- name: ListSiteChildren :many
SELECT c.* FROM /* TEMPLATE: schema */site c
JOIN /* TEMPLATE: schema */site p ON p.id = c.parent_id
WHERE p.path = @parent::text AND c.path > @after::text
ORDER BY c.path
LIMIT @max_rows::integer;

-- name: ResolveSites :many
SELECT path AS asked, path AS current FROM /* TEMPLATE: schema */site WHERE path = ANY(@paths::text[])
UNION ALL
SELECT a.path AS asked, s.path AS current
FROM /* TEMPLATE: schema */site_alias a JOIN /* TEMPLATE: schema */site s ON s.id = a.site_id
WHERE a.path = ANY(@paths::text[]);

-- name: SubtreeExtent :one
-- What would not fit below another path: the longest path and the deepest one
-- among the sites and subscriptions at a path and below it.
SELECT coalesce(max(length(t.path)), 0)::integer AS bytes, coalesce(max(length(t.path) - length(replace(t.path, '/', ''))), 0)::integer AS segments
FROM (
    SELECT path FROM /* TEMPLATE: schema */site
    WHERE path = @path::text OR (path > @path::text || '/' AND path < @path::text || '0')
    UNION ALL
    SELECT site FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND (site = @path::text OR (site > @path::text || '/' AND site < @path::text || '0'))
) t;

-- name: MoveSites :exec
WITH moved AS (
    UPDATE /* TEMPLATE: schema */site s SET
        path = @new_path::text || substr(s.path, length(@path::text) + 1),
        parent_id = CASE WHEN s.path = @path::text THEN @parent_id::uuid ELSE s.parent_id END
    WHERE s.path = @path::text OR (s.path > @path::text || '/' AND s.path < @path::text || '0')
    RETURNING s.id, s.path
), taken AS (
    DELETE FROM /* TEMPLATE: schema */site_alias a USING moved m WHERE a.path = m.path
)
INSERT INTO /* TEMPLATE: schema */site_alias (path, site_id)
SELECT @path::text || substr(m.path, length(@new_path::text) + 1), m.id FROM moved m;

-- name: MoveSubscriptions :exec
UPDATE /* TEMPLATE: schema */subscription
SET site = @new_path::text || substr(site, length(@path::text) + 1), updated_at = now()
WHERE id IN (
    SELECT id FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND (site = @path::text OR (site > @path::text || '/' AND site < @path::text || '0'))
    ORDER BY id FOR UPDATE
);

-- name: DeleteSiteAlias :exec
DELETE FROM /* TEMPLATE: schema */site_alias WHERE path = @path::text;

-- name: HasChildSites :one
SELECT EXISTS (SELECT FROM /* TEMPLATE: schema */site WHERE parent_id = @id);

-- name: BequeathAliases :exec
-- The aliases of sites that go are handed to the heir before the sites are
-- deleted: a foreign key ties them to living sites.
WITH heirless AS (
    SELECT id, path FROM /* TEMPLATE: schema */site
    WHERE path = @path::text OR (path > @path::text || '/' AND path < @path::text || '0')
), handed AS (
    UPDATE /* TEMPLATE: schema */site_alias a SET site_id = @heir_id
    FROM heirless h WHERE a.site_id = h.id
)
INSERT INTO /* TEMPLATE: schema */site_alias (path, site_id)
SELECT path, @heir_id FROM heirless;

-- name: DeleteSites :exec
DELETE FROM /* TEMPLATE: schema */site
WHERE path = @path::text OR (path > @path::text || '/' AND path < @path::text || '0');

-- name: DeactivateSubscriptionsAt :exec
UPDATE /* TEMPLATE: schema */subscription
SET state = 'deactivated', state_reason = @reason::text, state_since = now(), epoch = epoch + 1, updated_at = now()
WHERE id IN (
    SELECT id FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND state <> 'deactivated'
        AND (site = @path::text OR (site > @path::text || '/' AND site < @path::text || '0'))
    ORDER BY id FOR UPDATE
);

-- name: Placement :one
-- Placement holds the site in its place. Under REPEATABLE READ it fails if the
-- site has moved since the snapshot.
WITH here AS (
    SELECT id FROM /* TEMPLATE: schema */site WHERE path = @path::text FOR KEY SHARE
)
SELECT
    EXISTS (SELECT FROM here) AS known,
    coalesce((
        SELECT s.path FROM /* TEMPLATE: schema */site_alias a
        JOIN /* TEMPLATE: schema */site s ON s.id = a.site_id
        WHERE a.path = @path::text), '')::text AS now_at;
