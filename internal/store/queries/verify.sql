-- name: SetChallenge :exec
-- SetChallenge lets what is to be proven be asked for from the beginning, at once
-- where it is due; without an id nothing is to be proven any more. That the endpoint
-- was asked a moment ago stays known.
INSERT INTO /* TEMPLATE: schema */endpoint_challenge (subscription_id, id, url, host, elsewhere, due_at)
VALUES (
    sqlc.arg(subscription_id), sqlc.narg(id)::uuid, sqlc.arg(url), sqlc.arg(host), sqlc.arg(elsewhere),
    CASE WHEN sqlc.arg(due)::boolean THEN now() END)
ON CONFLICT (subscription_id) DO UPDATE SET
    id = excluded.id, url = excluded.url, host = excluded.host, elsewhere = excluded.elsewhere, tries = 0,
    due_at = excluded.due_at, asking_until = NULL;

-- name: ClaimChallenges :many
-- ClaimChallenges takes the endpoints that are due to be asked, of each host the first
-- one, so that the number of those of one host does not matter to the others. It takes none of a
-- host that was asked just now, or that is being asked max_asked questions. Those of
-- subscriptions that are not to be asked any more are put off until they are activated;
-- whether they are is read under a lock, or one that is activated meanwhile would be
-- put off.
WITH RECURSIVE host AS (
    -- Each host that has endpoints to be asked, by jumping from one to the next in the index, if
    -- anything is due at all.
    (SELECT c.host FROM /* TEMPLATE: schema */endpoint_challenge c
    WHERE c.due_at IS NOT NULL AND EXISTS (SELECT FROM /* TEMPLATE: schema */endpoint_challenge o WHERE o.due_at <= now())
    ORDER BY c.host LIMIT 1)
    UNION ALL
    SELECT (SELECT c.host FROM /* TEMPLATE: schema */endpoint_challenge c
        WHERE c.due_at IS NOT NULL AND c.host > host.host ORDER BY c.host LIMIT 1)
    FROM host WHERE host.host IS NOT NULL
), ripe AS MATERIALIZED (
    -- Of each host the first endpoint that is due, unless the host was asked just now or has enough
    -- under way.
    SELECT f.subscription_id
    FROM host CROSS JOIN LATERAL (
        SELECT c.subscription_id, c.due_at FROM /* TEMPLATE: schema */endpoint_challenge c
        JOIN /* TEMPLATE: schema */subscription s ON s.id = c.subscription_id
        WHERE c.host = host.host AND c.due_at <= now() AND (c.asking_until > now()) IS NOT TRUE
            AND (c.asked_at > now() - sqlc.arg(interval_ms)::bigint * interval '1 millisecond') IS NOT TRUE
            AND (s.state = 'pending_verification' OR s.pending_url <> '' AND s.state <> 'deactivated') AND s.deleted_at IS NULL
        ORDER BY c.due_at
        LIMIT 1
    ) f
    WHERE NOT EXISTS (SELECT FROM /* TEMPLATE: schema */challenged_host h
            WHERE h.host = host.host AND h.asked_at > now() - sqlc.arg(host_ms)::bigint * interval '1 millisecond')
        AND (SELECT count(*) FROM /* TEMPLATE: schema */endpoint_challenge a
            WHERE a.host = host.host AND a.asking_until > now()) < sqlc.arg(max_asked)::integer
    ORDER BY f.due_at
    LIMIT sqlc.arg(max_rows)::integer
), due AS MATERIALIZED (
    -- The same, locked and looked at again.
    SELECT c.subscription_id, c.host FROM /* TEMPLATE: schema */endpoint_challenge c
    JOIN /* TEMPLATE: schema */subscription s ON s.id = c.subscription_id
    WHERE c.subscription_id IN (SELECT r.subscription_id FROM ripe r)
        AND c.due_at <= now() AND (c.asking_until > now()) IS NOT TRUE
        AND (c.asked_at > now() - sqlc.arg(interval_ms)::bigint * interval '1 millisecond') IS NOT TRUE
        AND (s.state = 'pending_verification' OR s.pending_url <> '' AND s.state <> 'deactivated') AND s.deleted_at IS NULL
    FOR UPDATE OF c SKIP LOCKED FOR SHARE OF s SKIP LOCKED
), turn AS (
    -- The hosts are asked now, if nobody else has asked them meanwhile.
    INSERT INTO /* TEMPLATE: schema */challenged_host AS h (host, asked_at)
    SELECT DISTINCT d.host, now() FROM due d ORDER BY d.host
    ON CONFLICT (host) DO UPDATE SET asked_at = now()
        WHERE h.asked_at <= now() - sqlc.arg(host_ms)::bigint * interval '1 millisecond'
    RETURNING h.host
), idle AS MATERIALIZED (
    -- The endpoints that are due and are not to be asked any more, locked with their subscriptions.
    SELECT c.subscription_id FROM /* TEMPLATE: schema */endpoint_challenge c
    JOIN /* TEMPLATE: schema */subscription s ON s.id = c.subscription_id
    WHERE c.due_at <= now()
        AND ((s.state = 'pending_verification' OR s.pending_url <> '' AND s.state <> 'deactivated') AND s.deleted_at IS NULL) IS NOT TRUE
    ORDER BY c.due_at
    LIMIT sqlc.arg(idle_rows)::integer
    FOR UPDATE OF c SKIP LOCKED FOR SHARE OF s SKIP LOCKED
), later AS (
    -- They are put off.
    UPDATE /* TEMPLATE: schema */endpoint_challenge c SET due_at = NULL FROM idle i WHERE c.subscription_id = i.subscription_id
)
UPDATE /* TEMPLATE: schema */endpoint_challenge c SET
    tries = c.tries + 1, asked_at = now(), asking_until = now() + sqlc.arg(claim_ms)::bigint * interval '1 millisecond'
FROM due d JOIN turn t USING (host)
WHERE c.subscription_id = d.subscription_id
RETURNING c.*;

-- name: ClaimChallenge :many
-- ClaimChallenge takes one endpoint, due or not, which begins a new row of tries. It
-- takes none when it or its host was asked just now, or is being asked.
WITH wanted AS MATERIALIZED (
    SELECT c.subscription_id, c.host FROM /* TEMPLATE: schema */endpoint_challenge c
    WHERE c.subscription_id = sqlc.arg(subscription_id) AND c.id IS NOT NULL
        AND (c.asking_until IS NULL OR c.asking_until <= now())
        AND (c.asked_at IS NULL OR c.asked_at <= now() - sqlc.arg(interval_ms)::bigint * interval '1 millisecond')
    FOR UPDATE SKIP LOCKED
), turn AS (
    INSERT INTO /* TEMPLATE: schema */challenged_host AS h (host, asked_at)
    SELECT w.host, now() FROM wanted w
    ON CONFLICT (host) DO UPDATE SET asked_at = now()
        WHERE h.asked_at <= now() - sqlc.arg(host_ms)::bigint * interval '1 millisecond'
    RETURNING h.host
)
UPDATE /* TEMPLATE: schema */endpoint_challenge c SET
    tries = 1, asked_at = now(), asking_until = now() + sqlc.arg(claim_ms)::bigint * interval '1 millisecond'
FROM wanted w JOIN turn t USING (host)
WHERE c.subscription_id = w.subscription_id
RETURNING c.*;

-- name: IsChallenged :many
-- IsChallenged returns a row where something of a subscription is to be proven.
SELECT c.subscription_id FROM /* TEMPLATE: schema */endpoint_challenge c WHERE c.subscription_id = @subscription_id AND c.id IS NOT NULL;

-- name: RecordUnproven :many
-- RecordUnproven keeps why an endpoint did not prove anything, unless something else
-- is to be proven by now, and says when it is asked again: never where wait_ms is
-- null. Where it was not even asked, that is no try. The subscription is locked first, as by whoever changes it.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM /* TEMPLATE: schema */subscription o
    WHERE o.id = sqlc.arg(subscription_id) AND o.deleted_at IS NULL
    FOR UPDATE
), answered AS (
    UPDATE /* TEMPLATE: schema */endpoint_challenge c
    SET asking_until = NULL, due_at = now() + sqlc.narg(wait_ms)::bigint * interval '1 millisecond',
        tries = c.tries - sqlc.arg(not_asked)::boolean::integer
    FROM picked p
    WHERE c.subscription_id = p.id AND c.id = sqlc.arg(id) AND c.tries = sqlc.arg(tries)
    RETURNING c.subscription_id
)
UPDATE /* TEMPLATE: schema */subscription s SET
    verification_error = sqlc.arg(error),
    state_reason = CASE WHEN s.state = 'pending_verification' THEN sqlc.arg(reason) ELSE s.state_reason END
FROM answered a
WHERE s.id = a.subscription_id
RETURNING s.id;

-- name: RecordProof :many
-- RecordProof puts the URL that was proven in force, in one statement, unless
-- something else is to be proven by now. What was named by a person is found by its
-- URL, what was asked by its id. Credentials and secret headers do not follow to
-- another host.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM /* TEMPLATE: schema */subscription o
    WHERE o.id = sqlc.arg(subscription_id) AND o.deleted_at IS NULL
    FOR UPDATE
), proven AS (
    UPDATE /* TEMPLATE: schema */endpoint_challenge c
    SET id = NULL, due_at = NULL, asking_until = NULL
    FROM picked p
    WHERE c.subscription_id = p.id AND c.id IS NOT NULL AND (c.id = sqlc.narg(id)::uuid OR c.url = sqlc.arg(url)::text)
    RETURNING c.subscription_id, c.url, c.elsewhere
), auth AS (
    DELETE FROM /* TEMPLATE: schema */endpoint_auth a USING proven v
    WHERE v.elsewhere AND a.subscription_id = v.subscription_id AND a.kind IN ('credentials', 'headers')
)
UPDATE /* TEMPLATE: schema */subscription s SET
    url = v.url, url_version = s.url_version + (v.url <> s.url)::integer,
    origin_version = CASE WHEN v.elsewhere AND v.url <> s.url THEN s.url_version + 1 ELSE s.origin_version END, pending_url = '', verified_at = now(), verification_error = '',
    state = CASE WHEN s.state = 'pending_verification' THEN 'active' ELSE s.state END,
    state_reason = CASE WHEN s.state = 'pending_verification' THEN '' ELSE s.state_reason END,
    state_since = CASE WHEN s.state = 'pending_verification' THEN now() ELSE s.state_since END,
    credentials = CASE WHEN v.elsewhere THEN '' ELSE s.credentials END,
    secret_headers = CASE WHEN v.elsewhere THEN '{}' ELSE s.secret_headers END,
    secret_header_bytes = CASE WHEN v.elsewhere THEN 0 ELSE s.secret_header_bytes END,
    credentials_version = s.credentials_version + v.elsewhere::integer,
    updated_at = now()
FROM proven v
WHERE s.id = v.subscription_id
RETURNING s.id;

-- name: PruneChallengedHosts :one
-- PruneChallengedHosts looks at the next hosts, and forgets those that were challenged
-- last so long ago that they may be challenged again. It returns where the next step begins.
WITH seen AS MATERIALIZED (
    SELECT h.host FROM /* TEMPLATE: schema */challenged_host h
    WHERE h.host > sqlc.arg(after)::text
    ORDER BY h.host
    LIMIT sqlc.arg(max_rows)::integer
), doomed AS MATERIALIZED (
    SELECT d.host FROM seen n CROSS JOIN LATERAL (
        SELECT o.host FROM /* TEMPLATE: schema */challenged_host o
        WHERE o.host = n.host AND o.asked_at < now() - sqlc.arg(max_age_ms)::bigint * interval '1 millisecond'
        FOR UPDATE SKIP LOCKED
    ) d
), pruned AS (
    DELETE FROM /* TEMPLATE: schema */challenged_host h USING doomed x WHERE h.host = x.host
)
SELECT
    (SELECT count(*) FROM seen)::integer AS seen,
    coalesce((SELECT n.host FROM seen n ORDER BY n.host DESC LIMIT 1), sqlc.arg(after)::text)::text AS last;
