-- name: Isolation :one
SELECT current_setting('transaction_isolation')::text;

-- name: LockSites :exec
-- Whoever changes the tree holds this lock, so that no two changes together
-- can make a cycle; whoever places a subscription shares it.
SELECT pg_advisory_xact_lock(hashtextextended('riverhook site /* TEMPLATE: schema_name */', 0));

-- name: TryLockSites :one
-- TryLockSites is LockSites if nobody else has the lock.
SELECT pg_try_advisory_xact_lock(hashtextextended('riverhook site /* TEMPLATE: schema_name */', 0));

-- name: WaitSettings :one
-- WaitSettings are what bounds a wait for a lock, in milliseconds, and whether the
-- transaction holds a lock for which another one may wait.
SELECT
    (extract(epoch FROM current_setting('lock_timeout')::interval) * 1000)::bigint AS lock_timeout_ms,
    (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint AS statement_timeout_ms,
    (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::bigint AS deadlock_timeout_ms,
    EXISTS (
        SELECT FROM pg_catalog.pg_locks l
        WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype <> 'virtualxid' AND l.mode <> 'AccessShareLock')::boolean AS holds;

-- name: SetLockTimeout :one
-- SetLockTimeout bounds the waits for locks until the transaction ends.
SELECT set_config('lock_timeout', @timeout::text, true)::text;

-- name: ShareSites :exec
SELECT pg_advisory_xact_lock_shared(hashtextextended('riverhook site /* TEMPLATE: schema_name */', 0));

-- name: GetSite :one
SELECT * FROM /* TEMPLATE: schema */site WHERE path = @path::text;

-- name: InsertSite :one
INSERT INTO /* TEMPLATE: schema */site (id, path, parent_id, changed) VALUES (@id, @path::text, @parent_id, @change)
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

-- name: NextSiteChange :one
-- NextSiteChange numbers a change of the tree. Whoever calls it holds LockSites.
SELECT nextval('/* TEMPLATE: schema */site_change_seq'::regclass)::bigint;

-- name: TreeVersion :one
-- TreeVersion is the number of the last change that is committed.
SELECT greatest(
    (SELECT max(s.changed) FROM /* TEMPLATE: schema */site s),
    (SELECT max(a.changed) FROM /* TEMPLATE: schema */site_alias a))::bigint;

-- name: TreeVersionSeen :one
-- TreeVersionSeen is what an intent that is written now has as its tree_version.
SELECT (coalesce(max(a.ended), 0) + 1)::bigint FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807;

-- name: SiteChains :many
-- SiteChains finds the sites from each path up to "/", as site_chain does: each is
-- a token and then the sites.
SELECT /* TEMPLATE: schema */site_chain(x.path, x.tree_version)::text[] AS chain
FROM (SELECT
    unnest(@ords::integer[]) AS ord,
    unnest(@paths::text[]) AS path,
    unnest(@tree_versions::bigint[]) AS tree_version
) x
ORDER BY x.ord;

-- name: SitesThere :many
-- SitesThere says where sites are now that had paths. The path of a deleted site is
-- none of them: it leads to another.
SELECT path AS asked, path AS current FROM /* TEMPLATE: schema */site WHERE path = ANY(@paths::text[])
UNION ALL
SELECT a.path AS asked, s.path AS current
FROM /* TEMPLATE: schema */site_alias a JOIN /* TEMPLATE: schema */site s ON s.id = a.site_id
WHERE a.path = ANY(@paths::text[]) AND a.ended = 9223372036854775807 AND NOT a.inherited;

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
        parent_id = CASE WHEN s.path = @path::text THEN @parent_id::uuid ELSE s.parent_id END,
        changed = @change
    FROM /* TEMPLATE: schema */site o
    WHERE o.id = s.id AND (s.path = @path::text OR (s.path > @path::text || '/' AND s.path < @path::text || '0'))
    RETURNING s.id, o.path, o.changed
)
INSERT INTO /* TEMPLATE: schema */site_alias (path, site_id, since, changed)
SELECT m.path, m.id, m.changed, @change FROM moved m;

-- name: EndAliases :exec
-- EndAliases ends the aliases at a path where a site has come to be, and below it:
-- what they led to is another's. Those of the sites that came with it go on, but
-- where one of these is at the path itself.
UPDATE /* TEMPLATE: schema */site_alias a SET ended = @change, changed = @change, ended_at = now()
WHERE a.ended = 9223372036854775807
    AND (a.path = @path::text OR (a.path > @path::text || '/' AND a.path < @path::text || '0'))
    AND (EXISTS (SELECT FROM /* TEMPLATE: schema */site s WHERE s.path = a.path)
        OR NOT EXISTS (
            SELECT FROM /* TEMPLATE: schema */site s
            WHERE s.id = a.site_id
                AND (s.path = @path::text OR (s.path > @path::text || '/' AND s.path < @path::text || '0'))));

-- name: MakeWay :exec
-- MakeWay hands the subscriptions of deleted sites that are at a path, or below it,
-- to the site above before another one takes the path: they are not its own.
UPDATE /* TEMPLATE: schema */subscription SET site = @heir::text, updated_at = now()
WHERE id IN (
    SELECT id FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND stranded
        AND (site = @path::text OR (site > @path::text || '/' AND site < @path::text || '0'))
    ORDER BY id FOR UPDATE
);

-- name: MoveSubscriptions :exec
UPDATE /* TEMPLATE: schema */subscription
SET site = @new_path::text || substr(site, length(@path::text) + 1), updated_at = now()
WHERE id IN (
    SELECT id FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND (site = @path::text OR (site > @path::text || '/' AND site < @path::text || '0'))
    ORDER BY id FOR UPDATE
);

-- name: HasChildSites :one
SELECT EXISTS (SELECT FROM /* TEMPLATE: schema */site WHERE parent_id = @id);

-- name: BequeathAliases :exec
-- The aliases of sites that go are handed to the heir before the sites are
-- deleted: a foreign key ties them to living sites.
WITH heirless AS (
    SELECT id, path, changed FROM /* TEMPLATE: schema */site
    WHERE path = @path::text OR (path > @path::text || '/' AND path < @path::text || '0')
), handed AS (
    UPDATE /* TEMPLATE: schema */site_alias a SET site_id = @heir_id, inherited = true, changed = @change
    FROM heirless h WHERE a.site_id = h.id
)
INSERT INTO /* TEMPLATE: schema */site_alias (path, site_id, inherited, since, changed)
SELECT path, @heir_id, true, changed, @change FROM heirless;

-- name: DeleteSites :exec
DELETE FROM /* TEMPLATE: schema */site
WHERE path = @path::text OR (path > @path::text || '/' AND path < @path::text || '0');

-- name: StrandSubscriptionsAt :exec
UPDATE /* TEMPLATE: schema */subscription s
SET stranded = true, state = 'deactivated', updated_at = now(),
    state_reason = CASE WHEN s.state = 'deactivated' THEN s.state_reason ELSE @reason::text END,
    state_since = CASE WHEN s.state = 'deactivated' THEN s.state_since ELSE now() END,
    epoch = s.epoch + CASE WHEN s.state = 'deactivated' THEN 0 ELSE 1 END
WHERE s.id IN (
    SELECT id FROM /* TEMPLATE: schema */subscription
    WHERE deleted_at IS NULL AND NOT stranded
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
    coalesce((SELECT h.id::text FROM here h), '')::text AS id,
    coalesce(s.path, '')::text AS now_at,
    coalesce(a.inherited, false)::boolean AS inherited
FROM (VALUES (1)) AS one (row)
LEFT JOIN /* TEMPLATE: schema */site_alias a ON a.path = @path::text AND a.ended = 9223372036854775807
LEFT JOIN /* TEMPLATE: schema */site s ON s.id = a.site_id;
