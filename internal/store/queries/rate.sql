-- name: AddRates :exec
-- AddRates adds the rows of rates that have none.
INSERT INTO /* TEMPLATE: schema */rate (key)
SELECT k.key FROM (SELECT DISTINCT unnest(@keys::text[]) AS key) k ORDER BY k.key
ON CONFLICT (key) DO NOTHING;

-- name: LeaseRates :many
-- LeaseRates leases requests of rates, as many of each as are wanted and its rate has up to a
-- little ahead of now, and gives back what was not spent of earlier leases. What a lower rate was
-- taken for before is cut to what this one can be. It locks the rows in the order of their keys. A
-- rate without a row is not returned: see AddRates.
WITH locked AS MATERIALIZED (
    SELECT r.key, r.taken_until - a.unspent_us * interval '1 microsecond' AS taken_until, a.every_us, a.burst, a.wanted, a.unspent_us
    FROM /* TEMPLATE: schema */rate r
    JOIN (SELECT
        unnest(@keys::text[]) AS key,
        unnest(@every_us::bigint[]) AS every_us,
        unnest(@bursts::integer[]) AS burst,
        unnest(@wanted::integer[]) AS wanted,
        unnest(@unspent_us::bigint[]) AS unspent_us
    ) a ON a.key = r.key
    ORDER BY r.key
    FOR UPDATE OF r
), step AS MATERIALIZED (
    -- Nobody has leased more by the same rate than most, who may have locked the row after this
    -- statement began.
    SELECT l.key, l.unspent_us, (l.burst - 1) * l.every_us AS depth_us,
        clock_timestamp() + (l.burst * l.every_us + sqlc.arg(ahead_us)::bigint) * interval '1 microsecond' AS most,
        /* TEMPLATE: schema */rate_step(
            (extract(epoch FROM l.taken_until - now()) * 1000000)::bigint, l.every_us, l.burst, sqlc.arg(ahead_us)::bigint, l.wanted) AS step
    FROM locked l
), leased AS (
    UPDATE /* TEMPLATE: schema */rate r SET
        taken_until = CASE WHEN s.step[1] > 0 OR s.unspent_us > 0 THEN now() + s.step[3] * interval '1 microsecond' ELSE s.most END,
        free_at = now() + greatest(s.step[3] - s.depth_us, 0) * interval '1 microsecond'
    FROM step s
    WHERE r.key = s.key AND (s.step[1] > 0 OR s.unspent_us > 0 OR r.taken_until > s.most)
)
SELECT s.key, s.step[1]::integer AS granted, s.step[2]::bigint AS first_us,
    (now() + s.step[3] * interval '1 microsecond')::timestamptz AS until
FROM step s;

-- name: ReturnRates :execrows
-- ReturnRates gives back what was leased last and was not spent, as if it never had been leased.
-- If somebody has leased since, it is lost.
WITH unspent AS MATERIALIZED (
    SELECT r.key, a.unspent_us * interval '1 microsecond' AS unspent
    FROM /* TEMPLATE: schema */rate r
    JOIN (SELECT
        unnest(@keys::text[]) AS key,
        unnest(@untils::timestamptz[]) AS until,
        unnest(@unspent_us::bigint[]) AS unspent_us
    ) a ON a.key = r.key AND a.until = r.taken_until
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE /* TEMPLATE: schema */rate r SET taken_until = r.taken_until - u.unspent, free_at = least(r.free_at, now())
FROM unspent u
WHERE r.key = u.key;

-- name: PaceReleases :many
-- PaceReleases says how many held deliveries may be released by rates, so that over all engines
-- no more of them are due up to a little ahead of now than the rate has. What was released and has
-- leased nothing for a while is forgotten, and what a lower rate was taken or released for is cut as by
-- LeaseRates: nobody leases while all wait to be released. A rate that somebody has locked, or without a row, is
-- not returned.
WITH locked AS MATERIALIZED (
    SELECT r.key, greatest(r.taken_until, CASE WHEN r.released_at > now() - sqlc.arg(lapse_ms)::bigint * interval '1 millisecond'
        THEN r.released_until END) AS released, a.every_us, a.burst, a.wanted
    FROM /* TEMPLATE: schema */rate r
    JOIN (SELECT
        unnest(@keys::text[]) AS key,
        unnest(@every_us::bigint[]) AS every_us,
        unnest(@bursts::integer[]) AS burst,
        unnest(@wanted::integer[]) AS wanted
    ) a ON a.key = r.key
    FOR UPDATE OF r SKIP LOCKED
), step AS MATERIALIZED (
    SELECT l.key, (l.burst - 1) * l.every_us AS depth_us,
        now() + (l.burst * l.every_us + sqlc.arg(ahead_us)::bigint) * interval '1 microsecond' AS most,
        /* TEMPLATE: schema */rate_step(
            (extract(epoch FROM l.released - now()) * 1000000)::bigint, l.every_us, l.burst, sqlc.arg(ahead_us)::bigint, l.wanted) AS step
    FROM locked l
), paced AS (
    UPDATE /* TEMPLATE: schema */rate r SET
        taken_until = least(r.taken_until, s.most),
        released_until = CASE WHEN s.step[1] > 0 THEN now() + s.step[3] * interval '1 microsecond' ELSE least(r.released_until, s.most) END,
        released_at = CASE WHEN s.step[1] > 0 THEN now() ELSE r.released_at END,
        free_at = now() + greatest(s.step[3] - s.depth_us, 0) * interval '1 microsecond'
    FROM step s
    WHERE r.key = s.key AND (s.step[1] > 0 OR greatest(r.taken_until, r.released_until) > s.most)
)
SELECT s.key, s.step[1]::integer AS granted, s.step[2]::bigint AS first_us FROM step s;

-- name: PruneRates :one
-- PruneRates deletes rates that nobody has used for a while: a row whose times have passed says as
-- much as none. It takes the next step through all of them, and returns where the next one begins.
WITH seen AS MATERIALIZED (
    SELECT o.key FROM /* TEMPLATE: schema */rate o WHERE o.key > sqlc.arg(after)::text ORDER BY o.key LIMIT sqlc.arg(max_rows)::integer
), old AS MATERIALIZED (
    SELECT o.key FROM /* TEMPLATE: schema */rate o JOIN seen s ON s.key = o.key
    WHERE greatest(o.taken_until, o.released_until, o.released_at, o.free_at) < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
    FOR UPDATE OF o SKIP LOCKED
), gone AS (
    DELETE FROM /* TEMPLATE: schema */rate r USING old o WHERE r.key = o.key
)
SELECT count(*)::integer AS seen, coalesce(max(s.key), '')::text AS last FROM seen s;
