-- name: ForgetSubscriptions :one
-- ForgetSubscriptions forgets, of the next subscriptions in the order of their
-- deletion, those of which no delivery and no decision is left. An expansion that had
-- read one before it was deleted is over by then. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT s.id, s.deleted_at FROM /* TEMPLATE: schema */subscription s
    WHERE s.deleted_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
        AND (s.deleted_at, s.id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after)::uuid)
    ORDER BY s.deleted_at, s.id
    LIMIT sqlc.arg(max_rows)::integer
), free AS MATERIALIZED (
    SELECT s.id FROM seen n
    JOIN /* TEMPLATE: schema */subscription s ON s.id = n.id
    WHERE NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.subscription_id = n.id)
        AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision c WHERE c.subscription_id = n.id)
    FOR UPDATE OF s SKIP LOCKED
), health AS (
    DELETE FROM /* TEMPLATE: schema */subscription_health h USING free x WHERE h.subscription_id = x.id
), gone AS (
    DELETE FROM /* TEMPLATE: schema */subscription s USING free x WHERE s.id = x.id
    RETURNING s.id
)
SELECT
    (SELECT count(*) FROM gone)::integer AS forgotten,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.deleted_at FROM seen n ORDER BY n.deleted_at DESC, n.id DESC LIMIT 1), sqlc.arg(after_at)::timestamptz)::timestamptz AS last_at,
    coalesce((SELECT n.id FROM seen n ORDER BY n.deleted_at DESC, n.id DESC LIMIT 1), sqlc.arg(after)::uuid)::uuid AS last;

-- name: ForgetAliases :one
-- ForgetAliases looks at the next aliases that ended, in the order of that, and forgets
-- those that ended long ago, of which no intent is left that was written before the end. One
-- that is older than the oldest by less than open_ms may have been seen by a transaction that
-- was open for so long. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT a.path, a.ended FROM /* TEMPLATE: schema */site_alias a
    WHERE a.ended < 9223372036854775807 AND (a.ended, a.path) > (sqlc.arg(after)::bigint, sqlc.arg(after_path)::text)
    ORDER BY a.ended, a.path
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT d.path, d.ended FROM seen n CROSS JOIN LATERAL (
        SELECT o.path, o.ended FROM /* TEMPLATE: schema */site_alias o
        WHERE o.path = n.path AND o.ended = n.ended AND o.ended_at < least(
            now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond',
            (SELECT i.created_at FROM /* TEMPLATE: schema */intent i ORDER BY i.id LIMIT 1) - sqlc.arg(open_ms)::bigint * interval '1 millisecond')
        FOR UPDATE SKIP LOCKED
    ) d
), forgotten AS (
    DELETE FROM /* TEMPLATE: schema */site_alias a USING doomed x WHERE a.path = x.path AND a.ended = x.ended
    RETURNING a.path
), last AS MATERIALIZED (
    SELECT n.ended, n.path FROM seen n ORDER BY n.ended DESC, n.path DESC LIMIT 1
)
SELECT
    (SELECT count(*) FROM forgotten)::integer AS forgotten,
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT l.ended FROM last l), sqlc.arg(after)::bigint)::bigint AS last,
    coalesce((SELECT l.path FROM last l), sqlc.arg(after_path)::text)::text AS last_path;
