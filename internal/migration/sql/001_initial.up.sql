-- The versions of this schema that were applied. min_client is the lowest
-- version of the library that still works with the schema at this version;
-- null means this version and later ones only.
CREATE TABLE /* TEMPLATE: schema */migration (
    version    integer PRIMARY KEY,
    min_client integer,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Sites -----------------------------------------------------------------

-- Paths sort by their bytes everywhere, so that a range of an index is a subtree.
CREATE TABLE /* TEMPLATE: schema */site (
    id         uuid PRIMARY KEY,
    path       text COLLATE "C" NOT NULL UNIQUE,
    parent_id  uuid REFERENCES /* TEMPLATE: schema */site (id),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX site_parent_idx ON /* TEMPLATE: schema */site (parent_id);

INSERT INTO /* TEMPLATE: schema */site (id, path) VALUES ('00000000-0000-0000-0000-000000000000', '/');

-- Former paths of a site that was renamed or moved, and the paths of deleted
-- sites, which point to the nearest ancestor that lived on.
CREATE TABLE /* TEMPLATE: schema */site_alias (
    path       text COLLATE "C" PRIMARY KEY,
    site_id    uuid NOT NULL REFERENCES /* TEMPLATE: schema */site (id),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX site_alias_site_idx ON /* TEMPLATE: schema */site_alias (site_id);

-- Event types -------------------------------------------------------------

-- umbrella_patterns are all patterns that match one of the types that this
-- type extends, directly or through another: what the resolver looks for.
CREATE TABLE /* TEMPLATE: schema */event_type (
    name              text PRIMARY KEY,
    description       text NOT NULL DEFAULT '',
    extends           text[] NOT NULL DEFAULT '{}',
    umbrella_patterns text[] NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

-- Subscriptions -------------------------------------------------------------

CREATE TABLE /* TEMPLATE: schema */subscription (
    id              uuid PRIMARY KEY,
    name            text NOT NULL DEFAULT '',
    description     text NOT NULL DEFAULT '',
    site            text COLLATE "C" NOT NULL,
    url             text NOT NULL,
    events          text[] NOT NULL,
    channels        text[] NOT NULL DEFAULT '{}',
    owner           text NOT NULL DEFAULT '',
    operator        boolean NOT NULL DEFAULT false,
    permission      text NOT NULL DEFAULT '',
    dialect         text NOT NULL,
    headers         jsonb NOT NULL DEFAULT '{}',
    schedule        text NOT NULL DEFAULT '',
    timeout_ms      integer NOT NULL DEFAULT 0,
    max_in_flight   integer NOT NULL DEFAULT 0,
    metadata        jsonb NOT NULL DEFAULT '{}',
    state           text NOT NULL DEFAULT 'active',
    state_reason    text NOT NULL DEFAULT '',
    state_since     timestamptz NOT NULL DEFAULT now(),
    epoch           integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,
    CONSTRAINT subscription_state CHECK (state IN ('active', 'paused', 'deactivated')),
    CONSTRAINT subscription_owner CHECK (operator <> (owner <> ''))
);

CREATE INDEX subscription_site_idx ON /* TEMPLATE: schema */subscription (site, id) WHERE deleted_at IS NULL;
CREATE INDEX subscription_owner_idx ON /* TEMPLATE: schema */subscription (owner, id) WHERE deleted_at IS NULL;

-- What the deliveries of one epoch say of a subscription's endpoint. Kept apart
-- from the subscription so that no batch waits for an application's lock; a new
-- epoch begins with a clean slate.
CREATE TABLE /* TEMPLATE: schema */subscription_health (
    subscription_id  uuid NOT NULL,
    epoch            integer NOT NULL,
    failing_since    timestamptz,
    failed_attempts  integer NOT NULL DEFAULT 0,
    exhausted_row    integer NOT NULL DEFAULT 0,
    exhausted_since  timestamptz,
    unresolvable     integer NOT NULL DEFAULT 0,
    warned_at        timestamptz,
    gone_at          timestamptz,
    circuit_until    timestamptz,
    circuit_opened   integer NOT NULL DEFAULT 0,
    probe_id         uuid,
    PRIMARY KEY (subscription_id, epoch)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX subscription_health_circuit_idx ON /* TEMPLATE: schema */subscription_health (circuit_until) WHERE circuit_until IS NOT NULL;

CREATE TABLE /* TEMPLATE: schema */secret (
    id              uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES /* TEMPLATE: schema */subscription (id),
    value           bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz
);

CREATE INDEX secret_subscription_idx ON /* TEMPLATE: schema */secret (subscription_id, created_at DESC);

-- Intents -------------------------------------------------------------------

CREATE TABLE /* TEMPLATE: schema */intent (
    id            uuid PRIMARY KEY,
    wire_id       text NOT NULL UNIQUE,
    type          text NOT NULL,
    site          text NOT NULL,
    active_site   text NOT NULL DEFAULT '',
    resource_kind text NOT NULL DEFAULT '',
    resource_id   text NOT NULL DEFAULT '',
    actor         text NOT NULL DEFAULT '',
    channel       text NOT NULL DEFAULT '',
    attributes    jsonb NOT NULL DEFAULT '{}',
    data          bytea,
    digest        bytea NOT NULL,
    occurred_at   timestamptz NOT NULL,
    not_before    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE /* TEMPLATE: schema */intent ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE INDEX intent_resource_idx ON /* TEMPLATE: schema */intent (resource_kind, resource_id) WHERE resource_kind <> '';

-- The part of an intent that changes. after is the last subscription that
-- was expanded; job_id the River job that carries the expansion on.
CREATE TABLE /* TEMPLATE: schema */intent_state (
    intent_id   uuid PRIMARY KEY,
    state       text NOT NULL DEFAULT 'pending',
    job_id      bigint NOT NULL,
    after       uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    due_at      timestamptz NOT NULL,
    tries       integer NOT NULL DEFAULT 0,
    reason      text NOT NULL DEFAULT '',
    ended_at    timestamptz,
    CONSTRAINT intent_state_state CHECK (state IN ('pending', 'expanded', 'failed', 'cancelled'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX intent_state_pending_idx ON /* TEMPLATE: schema */intent_state (due_at) WHERE state = 'pending' AND due_at IS NOT NULL;

CREATE TABLE /* TEMPLATE: schema */message (
    intent_id    uuid NOT NULL,
    dialect      text NOT NULL,
    content_type text NOT NULL,
    headers      jsonb NOT NULL DEFAULT '{}',
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (intent_id, dialect)
);

ALTER TABLE /* TEMPLATE: schema */message ALTER COLUMN body SET STORAGE EXTERNAL;

-- Decisions that are not (or not yet) a delivery. A delivery is itself the
-- decision "delivered to", so that an intent and a subscription meet in one
-- of the two tables.
CREATE TABLE /* TEMPLATE: schema */decision (
    intent_id       uuid NOT NULL,
    subscription_id uuid NOT NULL,
    outcome         text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    matched_site    text NOT NULL,
    matched_pattern text NOT NULL DEFAULT '',
    tries           integer NOT NULL DEFAULT 0,
    job_id          bigint,
    due_at          timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    decided_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (intent_id, subscription_id),
    CONSTRAINT decision_outcome CHECK (outcome IN ('waiting', 'denied', 'filtered', 'unresolvable', 'inactive', 'gone', 'failed'))
);

CREATE INDEX decision_subscription_idx ON /* TEMPLATE: schema */decision (subscription_id, intent_id);
CREATE INDEX decision_waiting_idx ON /* TEMPLATE: schema */decision (due_at) WHERE outcome = 'waiting' AND due_at IS NOT NULL;

-- Deliveries ----------------------------------------------------------------

-- attempt_seq grows by one at every transition and fences each of them.
-- job_id is the River job that carries the delivery on; null while it is held.
CREATE TABLE /* TEMPLATE: schema */delivery (
    id              uuid PRIMARY KEY,
    intent_id       uuid NOT NULL,
    subscription_id uuid NOT NULL,
    dialect         text NOT NULL,
    matched_site    text NOT NULL,
    matched_pattern text NOT NULL DEFAULT '',
    epoch           integer NOT NULL,
    state           text NOT NULL DEFAULT 'pending',
    hold            text NOT NULL DEFAULT '',
    reason          text NOT NULL DEFAULT '',
    round           integer NOT NULL DEFAULT 1,
    attempt_seq     integer NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    interrupted     integer NOT NULL DEFAULT 0,
    job_id          bigint,
    due_at          timestamptz NOT NULL DEFAULT now(),
    held_since      timestamptz,
    access_at       timestamptz,
    last_status     integer NOT NULL DEFAULT 0,
    last_outcome    text NOT NULL DEFAULT '',
    manual          boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    UNIQUE (intent_id, subscription_id),
    CONSTRAINT delivery_state CHECK (state IN ('pending', 'delivered', 'exhausted', 'cancelled', 'expired')),
    CONSTRAINT delivery_hold CHECK (hold IN ('', 'paused', 'circuit', 'slots'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX delivery_subscription_idx ON /* TEMPLATE: schema */delivery (subscription_id, id);

-- The predicates name a second column so that a statement that finds rows by
-- their key and asks for state = 'pending' is never planned over these indexes.
CREATE INDEX delivery_due_idx ON /* TEMPLATE: schema */delivery (due_at) WHERE state = 'pending' AND hold = '' AND due_at IS NOT NULL;
CREATE INDEX delivery_held_idx ON /* TEMPLATE: schema */delivery (subscription_id, intent_id) WHERE state = 'pending' AND hold <> '';

CREATE TABLE /* TEMPLATE: schema */attempt (
    delivery_id        uuid NOT NULL,
    seq                integer NOT NULL,
    round              integer NOT NULL,
    number             integer NOT NULL,
    manual             boolean NOT NULL DEFAULT false,
    outcome            text NOT NULL,
    error              text NOT NULL DEFAULT '',
    status             integer NOT NULL DEFAULT 0,
    url                text NOT NULL DEFAULT '',
    request_headers    jsonb NOT NULL DEFAULT '{}',
    response_headers   jsonb NOT NULL DEFAULT '{}',
    response_body      bytea,
    response_truncated boolean NOT NULL DEFAULT false,
    retry_after_ms     bigint NOT NULL DEFAULT 0,
    duration_us        bigint NOT NULL DEFAULT 0,
    engine             text NOT NULL DEFAULT '',
    started_at         timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, seq)
);

ALTER TABLE /* TEMPLATE: schema */attempt ALTER COLUMN response_body SET STORAGE EXTERNAL;

-- Engines -------------------------------------------------------------------

CREATE TABLE /* TEMPLATE: schema */engine (
    id           text PRIMARY KEY,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The write side --------------------------------------------------------------

-- A version 7 UUID (RFC 9562, section 5.7) by the database's clock, with the
-- fraction of the millisecond in rand_a (section 6.2, method 3): ids are ordered
-- as the events are.
CREATE FUNCTION /* TEMPLATE: schema */new_id() RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT encode(
        overlay(uuid_send(gen_random_uuid()) placing int8send((t.us / 1000) << 16 | 28672 | (t.us % 1000) * 4096 / 1000) FROM 1 FOR 8),
        'hex')::uuid
    FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) t
$$;

-- enqueue_batch writes intents and the River jobs that expand them, all or
-- nothing. Where all are good it returns a row for each: inserted or duplicate.
-- Otherwise it returns a row for each that is not: invalid with the field and
-- the reason, or conflict; then nothing of the call remains and the transaction
-- can go on. Intents are inserted in the order of their ids, so that two calls
-- cannot deadlock.
--
-- The function runs with its owner's rights: a role that may execute it can
-- enqueue and do nothing else.
CREATE FUNCTION /* TEMPLATE: schema */enqueue_batch(intents json, client integer, max_bytes integer, notify boolean)
RETURNS TABLE (ord integer, id text, outcome text, field text, reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    have integer; need integer;
    ords integer[]; wires text[]; digests bytea[]; jobs bigint[]; problems text[]; fresh uuid[];
    bad boolean; missed boolean; due boolean; clash boolean;
BEGIN
    IF client IS NOT NULL THEN
        SELECT coalesce(max(m.version), 0), coalesce(max(coalesce(m.min_client, m.version)), 0)
        INTO have, need FROM /* TEMPLATE: schema */migration m;
        IF client > have OR client < need THEN
            RAISE EXCEPTION 'riverhook: the schema is at version %, which works with clients from version % on; this client needs version %', have, need, client
            USING ERRCODE = 'RH001';
        END IF;
    END IF;

    WITH raw AS (
        SELECT
            r.ord, r.wire_id, r.type, coalesce(nullif(r.site, ''), '/') AS site, coalesce(r.active_site, '') AS active_site,
            coalesce(r.resource_kind, '') AS resource_kind, coalesce(r.resource_id, '') AS resource_id,
            coalesce(r.actor, '') AS actor, coalesce(r.channel, '') AS channel, coalesce(r.attributes, '{}') AS attributes,
            r.data, coalesce(r.occurred_at, now()) AS occurred_at, r.not_before
        FROM ROWS FROM (json_to_recordset(intents) AS (
            id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
            attributes jsonb, data text, occurred_at timestamptz, not_before timestamptz
        )) WITH ORDINALITY AS r (
            wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
            attributes, data, occurred_at, not_before, ord)
    ), input AS MATERIALIZED (
        SELECT
            r.ord::integer AS ord, k.key, coalesce(r.wire_id, k.key::text) AS wire_id, r.type, r.site, r.active_site,
            r.resource_kind, r.resource_id, r.actor, r.channel, r.attributes, convert_to(r.data, 'UTF8') AS data,
            r.occurred_at, r.not_before, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id,
            sha256(
                convert_to(r.type, 'UTF8') || '\x00' || convert_to(r.site, 'UTF8') || '\x00'
                || convert_to(r.resource_kind, 'UTF8') || '\x00' || convert_to(r.resource_id, 'UTF8') || '\x00'
                || convert_to(r.data, 'UTF8')) AS digest,
            -- Regular expressions with bounds such as {1,64} are slow to match:
            -- lengths are compared apart.
            CASE
                WHEN r.wire_id !~ '^[A-Za-z0-9_-]+$' OR length(r.wire_id) > 128
                    THEN 'ID: must be 1 to 128 letters, digits, "_" or "-"'
                WHEN r.type IS NULL OR r.type !~ '^[a-z0-9_]+(\.[a-z0-9_]+){1,7}$' OR length(r.type) > 128
                    THEN 'Type: must be 2 to 8 segments of a-z, 0-9 or "_" joined by ".", at most 128 characters'
                WHEN r.site <> '/' AND (
                        r.site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR r.site ~ '/\.\.?(/|$)' OR length(r.site) > 512
                        OR length(r.site) > 64 AND (r.site ~ '[^/]{65}' OR length(r.site) - length(replace(r.site, '/', '')) > 32))
                    THEN 'Site: must be "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
                WHEN r.active_site NOT IN ('', '/') AND (
                        r.active_site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR r.active_site ~ '/\.\.?(/|$)' OR length(r.active_site) > 512
                        OR length(r.active_site) > 64 AND (r.active_site ~ '[^/]{65}' OR length(r.active_site) - length(replace(r.active_site, '/', '')) > 32))
                    THEN 'ActiveSite: must be empty, "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
                WHEN (r.resource_kind = '') <> (r.resource_id = '')
                    THEN 'Resource: needs both a kind and an id, or neither'
                WHEN length(r.resource_kind) > 128
                    THEN 'Resource.Kind: must be at most 128 characters'
                WHEN length(r.resource_id) > 512
                    THEN 'Resource.ID: must be at most 512 characters'
                WHEN length(r.actor) > 512
                    THEN 'Actor: must be at most 512 characters'
                WHEN length(r.channel) > 512
                    THEN 'Channel: must be at most 512 characters'
                WHEN jsonb_typeof(r.attributes) <> 'object'
                     OR jsonb_path_exists(r.attributes, 'strict $.* ? (@.type() != "string")', '{}', true)
                    THEN 'Attributes: must be an object whose values are strings'
                WHEN octet_length(r.attributes::text) > 65536
                     AND (SELECT sum(octet_length(a.key) + octet_length(a.value)) FROM jsonb_each_text(r.attributes) a) > 65536
                    THEN 'Attributes: must be at most 65536 bytes of keys and values'
                WHEN NOT (r.occurred_at >= '0001-01-01 00:00:00+00' AND r.occurred_at < '10000-01-01 00:00:00+00')
                    THEN 'OccurredAt: must be in the years 1 to 9999'
                WHEN NOT (r.not_before >= '0001-01-01 00:00:00+00' AND r.not_before < '10000-01-01 00:00:00+00')
                    THEN 'NotBefore: must be in the years 1 to 9999'
                WHEN r.data IS NULL
                    THEN 'Data: is missing'
                WHEN octet_length(r.data) > max_bytes
                    THEN format('Data: has %s bytes; at most %s are allowed', octet_length(r.data), max_bytes)
                WHEN r.data::json IS NULL -- never; text that is not JSON is an error here
                    THEN 'Data: is not valid JSON'
            END AS problem
        FROM raw r
        CROSS JOIN LATERAL (SELECT /* TEMPLATE: schema */new_id() AS key WHERE r.ord IS NOT NULL) k
    ), inserted AS (
        INSERT INTO /* TEMPLATE: schema */intent (
            id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
            attributes, data, digest, occurred_at, not_before)
        SELECT
            i.key, i.wire_id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel,
            i.attributes, i.data, i.digest, i.occurred_at, i.not_before
        FROM input i
        WHERE NOT EXISTS (SELECT FROM input p WHERE p.problem IS NOT NULL)
        ORDER BY i.wire_id
        ON CONFLICT (wire_id) DO NOTHING
        RETURNING id
    ), job AS (
        INSERT INTO /* TEMPLATE: schema */river_job (
            id, state, max_attempts, args, kind, queue, scheduled_at, tags)
        SELECT
            i.job_id,
            CASE WHEN i.not_before > now() THEN 'scheduled' ELSE 'available' END::/* TEMPLATE: schema */river_job_state,
            1000, jsonb_build_object('intent_id', i.key), 'riverhook_expand', 'expand',
            greatest(coalesce(i.not_before, now()), now()), '{}'
        FROM inserted n JOIN input i ON i.key = n.id
    ), state AS (
        INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at)
        SELECT i.key, i.job_id, greatest(coalesce(i.not_before, now()), now())
        FROM inserted n JOIN input i ON i.key = n.id
    )
    SELECT
        array_agg(i.ord ORDER BY i.ord), array_agg(i.wire_id ORDER BY i.ord), array_agg(i.digest ORDER BY i.ord),
        array_agg(i.job_id ORDER BY i.ord), array_agg(i.problem ORDER BY i.ord), array_agg(n.id ORDER BY i.ord),
        bool_or(i.problem IS NOT NULL), bool_or(n.id IS NULL),
        bool_or(n.id IS NOT NULL AND (i.not_before IS NULL OR i.not_before <= now()))
    INTO ords, wires, digests, jobs, problems, fresh, bad, missed, due
    FROM input i LEFT JOIN inserted n ON n.id = i.key;

    IF bad THEN
        RETURN QUERY
        SELECT u.o, NULL::text, 'invalid', split_part(u.p, ': ', 1), substr(u.p, strpos(u.p, ': ') + 2)
        FROM unnest(ords, problems) AS u (o, p)
        WHERE u.p IS NOT NULL;
        RETURN;
    END IF;

    IF missed THEN
        SELECT bool_or(e.digest <> u.d) INTO clash
        FROM unnest(wires, digests) AS u (w, d) JOIN /* TEMPLATE: schema */intent e ON e.wire_id = u.w;
        IF clash THEN
            DELETE FROM /* TEMPLATE: schema */river_job j
                USING unnest(jobs, fresh) AS u (j, f) WHERE j.id = u.j AND u.f IS NOT NULL;
            DELETE FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (fresh);
            RETURN QUERY
            SELECT u.o, u.w, 'conflict', NULL::text, NULL::text
            FROM unnest(ords, wires, digests) AS u (o, w, d)
            JOIN /* TEMPLATE: schema */intent e ON e.wire_id = u.w AND e.digest <> u.d;
            DELETE FROM /* TEMPLATE: schema */intent e WHERE e.id = ANY (fresh);
            RETURN;
        END IF;
    END IF;

    IF notify AND due THEN
        PERFORM pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}');
    END IF;

    RETURN QUERY
    SELECT u.o, u.w, CASE WHEN u.f IS NULL THEN 'duplicate' ELSE 'inserted' END, NULL::text, NULL::text
    FROM unnest(ords, wires, fresh) AS u (o, w, f);
END
$$;

-- enqueue writes one intent and returns its id. It is for psql, triggers and
-- programs in other languages; the Go client calls enqueue_batch.
CREATE FUNCTION /* TEMPLATE: schema */enqueue(
    type text, data json, site text DEFAULT '/', resource_kind text DEFAULT '', resource_id text DEFAULT '',
    active_site text DEFAULT '', actor text DEFAULT '', channel text DEFAULT '', attributes jsonb DEFAULT '{}',
    id text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL, not_before timestamptz DEFAULT NULL, notify boolean DEFAULT true)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
BEGIN
    SELECT * INTO r FROM /* TEMPLATE: schema */enqueue_batch(
        json_build_array(json_build_object(
            'id', id, 'type', type, 'site', site, 'active_site', active_site, 'resource_kind', resource_kind,
            'resource_id', resource_id, 'actor', actor, 'channel', channel, 'attributes', attributes,
            'data', data::text, 'occurred_at', occurred_at, 'not_before', not_before)),
        NULL, 262144, notify) LIMIT 1;
    IF r.outcome = 'invalid' THEN
        RAISE EXCEPTION 'riverhook: intent: %: %', r.field, r.reason USING ERRCODE = 'invalid_parameter_value';
    ELSIF r.outcome = 'conflict' THEN
        RAISE EXCEPTION 'riverhook: intent %: the id is taken by an intent with other content', r.id USING ERRCODE = 'unique_violation';
    END IF;
    RETURN r.id;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */new_id() FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue_batch(json, integer, integer, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue(text, json, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, boolean) FROM PUBLIC;
