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
-- Each change of the tree takes a number while it holds the lock of all changes, so
-- that of two that are committed the later one has the greater; changed is that of
-- the last one that has written the row, which is when the site came to its path.
CREATE SEQUENCE /* TEMPLATE: schema */site_change_seq;

CREATE TABLE /* TEMPLATE: schema */site (
    id         uuid PRIMARY KEY,
    path       text COLLATE "C" NOT NULL UNIQUE,
    parent_id  uuid REFERENCES /* TEMPLATE: schema */site (id),
    changed    bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX site_parent_idx ON /* TEMPLATE: schema */site (parent_id);
CREATE INDEX site_changed_idx ON /* TEMPLATE: schema */site (changed);

INSERT INTO /* TEMPLATE: schema */site (id, path) VALUES ('00000000-0000-0000-0000-000000000000', '/');

-- Former paths of a site that was renamed or moved, and the paths of deleted
-- sites, which point to the nearest ancestor that lived on: those are inherited.
-- ended is the change that has put another site at the path or above it, at ended_at; the
-- greatest number says that none has; since is the change that had put this one there.
-- An ended alias holds for the intents whose
-- transaction had not seen that change.
CREATE TABLE /* TEMPLATE: schema */site_alias (
    path       text COLLATE "C" NOT NULL,
    ended      bigint NOT NULL DEFAULT 9223372036854775807,
    since      bigint NOT NULL DEFAULT 0,
    site_id    uuid NOT NULL REFERENCES /* TEMPLATE: schema */site (id),
    inherited  boolean NOT NULL DEFAULT false,
    changed    bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    PRIMARY KEY (path, ended)
);

CREATE INDEX site_alias_site_idx ON /* TEMPLATE: schema */site_alias (site_id);
CREATE INDEX site_alias_changed_idx ON /* TEMPLATE: schema */site_alias (changed);
CREATE INDEX site_alias_ended_idx ON /* TEMPLATE: schema */site_alias (ended) WHERE ended < 9223372036854775807;

-- site_chain is the sites from the one that a path names up to "/", nearest first, after
-- a token that is the same only while they are, for an intent that has seen the tree at a version; 0 is for the present. A path
-- leads to the site whose alias it was then, or else to the one that is there, unless
-- that has come after the path, or one above it, was taken from the site that it led to
-- then; one that is neither leads where the path above it does. Whoever may read the two tables may call it.
CREATE FUNCTION /* TEMPLATE: schema */site_chain(path text, tree_version bigint) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
DECLARE
    present CONSTANT bigint := 9223372036854775807;
    seen bigint := coalesce(nullif(tree_version, 0), present);
    taken bigint; -- the change that has put another site at the candidate or above it
    candidate text := path; at uuid; here text; above uuid; chain text[]; ids text := '';
BEGIN
    IF NOT EXISTS (SELECT FROM /* TEMPLATE: schema */site_alias a WHERE a.ended >= seen AND a.ended < present) THEN
        seen := present;
    END IF;
    LOOP
        taken := NULL;
        IF seen < present THEN
            SELECT min(a.ended) INTO taken FROM /* TEMPLATE: schema */site_alias a
            WHERE a.ended >= seen AND a.ended < present AND (a.path = candidate OR starts_with(candidate, a.path || '/'));
        END IF;
        SELECT a.site_id INTO at FROM /* TEMPLATE: schema */site_alias a
        WHERE a.path = candidate AND a.ended >= seen AND a.since < coalesce(taken, present)
        ORDER BY a.ended LIMIT 1;
        IF at IS NULL THEN
            SELECT s.id INTO at FROM /* TEMPLATE: schema */site s WHERE s.path = candidate AND s.changed < coalesce(taken, present);
        END IF;
        EXIT WHEN at IS NOT NULL OR candidate IN ('/', '');
        candidate := coalesce(nullif(regexp_replace(candidate, '/[^/]*$', ''), ''), '/');
    END LOOP;
    WHILE at IS NOT NULL LOOP
        SELECT s.path, s.parent_id INTO here, above FROM /* TEMPLATE: schema */site s WHERE s.id = at;
        chain := chain || here;
        ids := ids || at::text;
        at := above;
    END LOOP;
    RETURN md5(ids || chain[1]) || chain;
END
$$;

-- Event types -------------------------------------------------------------

-- umbrella_patterns are all patterns that match one of the types that this
-- type extends, directly or through another: what the resolver looks for. payloads
-- is what is kept of those of its intents, payload_age_ms after the expansion; empty
-- is as the engine says.
CREATE TABLE /* TEMPLATE: schema */event_type (
    name              text PRIMARY KEY,
    description       text NOT NULL DEFAULT '',
    extends           text[] NOT NULL DEFAULT '{}',
    umbrella_patterns text[] NOT NULL DEFAULT '{}',
    payloads          text NOT NULL DEFAULT '' CHECK (payloads IN ('', 'body', 'hash', 'nothing')),
    payload_age_ms    bigint NOT NULL DEFAULT 0 CHECK (payload_age_ms >= 0),
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    archived_at       timestamptz
);

-- The schema of a version never changes: who has read it need not read it again.
-- json keeps it as it was written.
CREATE TABLE /* TEMPLATE: schema */event_schema (
    type       text NOT NULL REFERENCES /* TEMPLATE: schema */event_type (name),
    version    integer NOT NULL CHECK (version > 0),
    draft      text NOT NULL CHECK (draft IN ('2020-12', 'draft-07')),
    schema     json NOT NULL,
    example    json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (type, version)
);

-- Subscriptions -------------------------------------------------------------

-- deactivation are rules of the subscription's own. hears_operations says that it
-- is the operator's and that a pattern of it can match a type that begins with
-- "riverhook.": whether anybody listens is asked before such an event is written.
--
-- stranded says that its site was deleted: nothing that happens concerns it until it
-- is given another.
--
-- credentials_version grows with each change in endpoint_auth; the five columns
-- before it say what is there: of sealed headers the names, and the bytes of names
-- and values together.
--
-- url_version grows with each URL that comes in force, and so does origin_version
-- if the scheme, host or port is another; circuit_version grows when a person
-- activates the subscription. What subscription_health says under another version
-- is over.
CREATE TABLE /* TEMPLATE: schema */subscription (
    id              uuid PRIMARY KEY,
    name            text NOT NULL DEFAULT '',
    manifest        text NOT NULL DEFAULT '',
    manifest_key    text NOT NULL DEFAULT '',
    description     text NOT NULL DEFAULT '',
    site            text COLLATE "C" NOT NULL,
    url             text NOT NULL,
    verification    text NOT NULL DEFAULT '',
    verified_at     timestamptz,
    verification_error text NOT NULL DEFAULT '',
    pending_url     text NOT NULL DEFAULT '',
    events          text[] NOT NULL,
    channels        text[] NOT NULL DEFAULT '{}',
    filter          text NOT NULL DEFAULT '',
    owner           text NOT NULL DEFAULT '',
    operator        boolean NOT NULL DEFAULT false,
    permission      text NOT NULL DEFAULT '',
    dialect         text NOT NULL,
    headers         jsonb NOT NULL DEFAULT '{}',
    schedule        text NOT NULL DEFAULT '',
    timeout_ms      integer NOT NULL DEFAULT 0,
    fail_closed     boolean NOT NULL DEFAULT false,
    max_in_flight   integer NOT NULL DEFAULT 0,
    deactivation    jsonb NOT NULL DEFAULT '{}',
    hears_operations boolean NOT NULL DEFAULT false,
    metadata        jsonb NOT NULL DEFAULT '{}',
    credentials     text NOT NULL DEFAULT '',
    own_root_cas    boolean NOT NULL DEFAULT false,
    client_certificate  boolean NOT NULL DEFAULT false,
    secret_headers      text[] NOT NULL DEFAULT '{}',
    secret_header_bytes integer NOT NULL DEFAULT 0,
    credentials_version integer NOT NULL DEFAULT 0,
    url_version     integer NOT NULL DEFAULT 1,
    origin_version  integer NOT NULL DEFAULT 1,
    circuit_version integer NOT NULL DEFAULT 1,
    state           text NOT NULL DEFAULT 'active',
    state_reason    text NOT NULL DEFAULT '',
    state_since     timestamptz NOT NULL DEFAULT now(),
    epoch           integer NOT NULL DEFAULT 1,
    stranded        boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,
    CONSTRAINT subscription_state CHECK (state IN ('active', 'paused', 'deactivated', 'pending_verification')),
    CONSTRAINT subscription_owner CHECK (operator <> (owner <> '')),
    CONSTRAINT subscription_manifest CHECK ((manifest = '') = (manifest_key = ''))
);

CREATE INDEX subscription_site_idx ON /* TEMPLATE: schema */subscription (site, id) WHERE deleted_at IS NULL;
CREATE INDEX subscription_operations_idx ON /* TEMPLATE: schema */subscription (id) WHERE hears_operations AND deleted_at IS NULL;
CREATE INDEX subscription_deleted_idx ON /* TEMPLATE: schema */subscription (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX subscription_owner_idx ON /* TEMPLATE: schema */subscription (owner, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX subscription_manifest_idx ON /* TEMPLATE: schema */subscription (manifest, manifest_key)
WHERE manifest <> '' AND deleted_at IS NULL;

-- Who creates a subscription passes the gates of its owner and of its site, one
-- after another, so that what has been counted is still so when it is created. A
-- gate is a row that is updated, rather than a lock, for those whose isolation
-- keeps them from seeing what was created while they waited: they fail.
CREATE TABLE /* TEMPLATE: schema */subscription_gate (
    gate   integer PRIMARY KEY,
    passed bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- What the deliveries of one epoch say of a subscription's endpoint. Kept apart
-- from the subscription so that no batch waits for an application's lock; a new
-- epoch begins with a clean slate. state_since is what the subscription's was when
-- something was last counted: counts that began before it are over. app_failed
-- says that an event of the application failed in the window, and not only those
-- that Riverhook writes itself. What is troubled is looked at by maintenance; it
-- is a column since one in the condition of an index must not change often.
--
-- The versions are those of the subscription of which the row speaks; unresolvable
-- is of the owner, and of no version. Nothing here is changed with the URL, so that
-- no batch waits for the application: what is of another version is ignored, and
-- replaced when something is counted.
--
-- asked_until is how long the endpoint has asked for nothing, or is throttled. The
-- circuit that failures opened is open until circuit_until, and on trial after it
-- until circuit_opened, how often it has opened in a row, is 0 again. One delivery,
-- probe_id, may try the endpoint meanwhile, and nobody else before probe_until.
CREATE TABLE /* TEMPLATE: schema */subscription_health (
    subscription_id  uuid NOT NULL,
    epoch            integer NOT NULL,
    failing_since    timestamptz,
    failed_attempts  integer NOT NULL DEFAULT 0,
    exhausted_row    integer NOT NULL DEFAULT 0,
    exhausted_since  timestamptz,
    unresolvable     integer NOT NULL DEFAULT 0,
    unresolvable_since timestamptz,
    state_since      timestamptz,
    app_failed       boolean NOT NULL DEFAULT false,
    warned_at        timestamptz,
    gone_at          timestamptz,
    url_version      integer NOT NULL DEFAULT 1,
    origin_version   integer NOT NULL DEFAULT 1,
    circuit_version  integer NOT NULL DEFAULT 1,
    asked_until      timestamptz,
    circuit_until    timestamptz,
    circuit_opened   integer NOT NULL DEFAULT 0,
    probe_id         uuid,
    probe_until      timestamptz,
    troubled         boolean NOT NULL GENERATED ALWAYS AS (failing_since IS NOT NULL OR gone_at IS NOT NULL OR unresolvable > 0) STORED,
    PRIMARY KEY (subscription_id, epoch)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX subscription_health_troubled_idx ON /* TEMPLATE: schema */subscription_health (subscription_id, epoch DESC) WHERE troubled;

-- What subscription_health says of the URL that is in force. Once a wait is over
-- that another URL of the same origin has asked for, nothing is left of it.
CREATE VIEW /* TEMPLATE: schema */subscription_circuit AS
SELECT
    h.subscription_id, h.epoch,
    (h.url_version = s.url_version AND h.gone_at IS NOT NULL)::boolean AS gone,
    (h.url_version = s.url_version AND h.failing_since IS NOT NULL)::boolean AS failing,
    (CASE WHEN h.origin_version = s.origin_version AND (h.url_version = s.url_version OR h.asked_until > now())
        THEN h.asked_until END)::timestamptz AS asked_until,
    (CASE WHEN h.url_version = s.url_version AND h.circuit_version = s.circuit_version THEN h.circuit_until END)::timestamptz AS circuit_until,
    (CASE WHEN h.url_version = s.url_version AND h.circuit_version = s.circuit_version THEN h.circuit_opened ELSE 0 END)::integer AS circuit_opened,
    (CASE WHEN h.url_version = s.url_version AND h.circuit_version = s.circuit_version THEN h.probe_id END)::uuid AS probe_id,
    (CASE WHEN h.url_version = s.url_version AND h.circuit_version = s.circuit_version THEN h.probe_until END)::timestamptz AS probe_until
FROM /* TEMPLATE: schema */subscription_health h
JOIN /* TEMPLATE: schema */subscription s ON s.id = h.subscription_id;

-- value is the text of the secret as the receiver has it, sealed for this
-- row where sealed says so. A secret with a pending_overlap_ms signs nothing before
-- the receiver has confirmed it; the others then last for that much longer.
CREATE TABLE /* TEMPLATE: schema */secret (
    id                 uuid PRIMARY KEY,
    subscription_id    uuid NOT NULL REFERENCES /* TEMPLATE: schema */subscription (id),
    value              bytea NOT NULL,
    sealed             boolean NOT NULL,
    public_key         text NOT NULL DEFAULT '',
    pending_overlap_ms bigint,
    created_at         timestamptz NOT NULL DEFAULT now(),
    expires_at         timestamptz
);

CREATE INDEX secret_subscription_idx ON /* TEMPLATE: schema */secret (subscription_id, created_at DESC);

-- What requests to a subscription's endpoint have beside their signature, as JSON:
-- its credentials, secret headers and TLS settings, each sealed for its row where
-- sealed says so, and but for the TLS settings for the origin of the URL in force.
-- Kept apart since most subscriptions have none, and what reads subscriptions has
-- no use for it.
CREATE TABLE /* TEMPLATE: schema */endpoint_auth (
    id              uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES /* TEMPLATE: schema */subscription (id),
    kind            text NOT NULL,
    value           bytea NOT NULL,
    sealed          boolean NOT NULL,
    UNIQUE (subscription_id, kind),
    CONSTRAINT endpoint_auth_kind CHECK (kind IN ('credentials', 'headers', 'tls'))
);

-- What the endpoint of a subscription is to prove. id is another with each URL, and
-- fences what comes back: only the answer to the question that was put last counts;
-- null: nothing is to be proven. elsewhere says that url leads to another host than
-- the URL in force, whose credentials are not sent there. due_at is when an engine
-- asks by itself, null: never; asked_at when one asked last, which bounds how often;
-- asking_until is the claim of the engine that waits for an answer.
CREATE TABLE /* TEMPLATE: schema */endpoint_challenge (
    subscription_id uuid PRIMARY KEY REFERENCES /* TEMPLATE: schema */subscription (id),
    id              uuid,
    url             text NOT NULL,
    host            text NOT NULL,
    elsewhere       boolean NOT NULL,
    tries           integer NOT NULL DEFAULT 0,
    due_at          timestamptz,
    asked_at        timestamptz,
    asking_until    timestamptz,
    CONSTRAINT endpoint_challenge_due CHECK (due_at IS NULL OR id IS NOT NULL)
);

CREATE INDEX endpoint_challenge_due_idx ON /* TEMPLATE: schema */endpoint_challenge (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX endpoint_challenge_host_idx ON /* TEMPLATE: schema */endpoint_challenge (host, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX endpoint_challenge_asking_idx ON /* TEMPLATE: schema */endpoint_challenge (host) WHERE asking_until IS NOT NULL;

-- When a host was last asked, so that many subscriptions cannot have it asked often.
CREATE TABLE /* TEMPLATE: schema */challenged_host (
    host     text PRIMARY KEY,
    asked_at timestamptz NOT NULL
);

-- Intents -------------------------------------------------------------------

-- schema_version is that of the type's schema by which the data was found valid; 0
-- is none. gone says why the data is not there any more: dropped, erased, hashed or
-- pruned; null while it is. What is erased loses its digest as well, which a
-- guess could be held against: whatever comes under its id is a duplicate then.
-- tree_version is one more than the last end of an alias that its transaction saw
-- when it was written; 0 stands for the present.
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
    schema_version integer NOT NULL DEFAULT 0 CHECK (schema_version >= 0),
    data          bytea,
    data_sha256   bytea,
    gone          text,
    gone_at       timestamptz,
    digest        bytea,
    tree_version  bigint NOT NULL DEFAULT 0,
    occurred_at   timestamptz NOT NULL,
    not_before    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE /* TEMPLATE: schema */intent ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE INDEX intent_resource_idx ON /* TEMPLATE: schema */intent (resource_kind, resource_id) WHERE resource_kind <> '';

-- The part of an intent that changes. after is the last subscription that
-- was expanded, and chain the sites by which it was found; job_id the River job that carries the expansion on. due_at is when
-- that was due, and stays until each first attempt that its jobs carry is recorded
-- or handed over; null says that nothing of it can be lost any more. keep is what
-- is to be left of the payload when all has ended, not before keep_at: hash or
-- nothing; null is all.
-- Whoever writes payloads of an intent holds its row, so that none is written
-- behind an erasure.
CREATE TABLE /* TEMPLATE: schema */intent_state (
    intent_id   uuid PRIMARY KEY,
    state       text NOT NULL DEFAULT 'pending',
    job_id      bigint NOT NULL,
    after       uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    chain       text NOT NULL DEFAULT '',
    due_at      timestamptz,
    tries       integer NOT NULL DEFAULT 0,
    reason      text NOT NULL DEFAULT '',
    ended_at    timestamptz,
    keep        text,
    keep_at     timestamptz,
    ended_runs  jsonb,
    CONSTRAINT intent_state_state CHECK (state IN ('pending', 'expanded', 'failed', 'cancelled')),
    CONSTRAINT intent_state_keep CHECK ((keep IS NULL) = (keep_at IS NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX intent_state_keep_idx ON /* TEMPLATE: schema */intent_state (keep_at, intent_id) WHERE keep_at IS NOT NULL;
CREATE INDEX intent_state_due_idx ON /* TEMPLATE: schema */intent_state (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE /* TEMPLATE: schema */message (
    intent_id    uuid NOT NULL,
    dialect      text NOT NULL,
    content_type text NOT NULL,
    headers      jsonb NOT NULL DEFAULT '{}',
    body         bytea,
    body_sha256  bytea,
    gone         boolean NOT NULL DEFAULT false,
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
    ended_runs      jsonb,
    PRIMARY KEY (intent_id, subscription_id),
    CONSTRAINT decision_outcome CHECK (outcome IN ('waiting', 'denied', 'filtered', 'unresolvable', 'inactive', 'gone', 'failed', 'unanswered', 'filter_error'))
);

CREATE INDEX decision_subscription_idx ON /* TEMPLATE: schema */decision (subscription_id, intent_id);
CREATE INDEX decision_waiting_idx ON /* TEMPLATE: schema */decision (due_at) WHERE outcome = 'waiting' AND due_at IS NOT NULL;

-- When a resource was last erased, by the SHA-256 of its kind and id: what was asked
-- about it before and is recorded after is recorded without its payload.
CREATE TABLE /* TEMPLATE: schema */erasure (
    resource  bytea PRIMARY KEY,
    erased_at timestamptz NOT NULL
);

-- Deliveries ----------------------------------------------------------------

-- attempt_seq grows by one at every transition and fences each of them.
-- job_id is the River job that carries the delivery on; null while it is held.
-- due_at is null while that is a job of its intent, which watches over it. retry_at
-- is when a retry was due that the circuit of its endpoint holds. at_once says that a
-- person wants the next attempt now, whatever its endpoint has asked for.
--
-- What most deliveries do, to be made and to be delivered at once, changes no column of any
-- index: it is an update in place (HOT), for which half of each page is left.
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
    due_at          timestamptz,
    held_since      timestamptz,
    retry_at        timestamptz,
    access_at       timestamptz,
    last_status     integer NOT NULL DEFAULT 0,
    last_outcome    text NOT NULL DEFAULT '',
    manual          boolean NOT NULL DEFAULT false,
    at_once         boolean NOT NULL DEFAULT false,
    erased          boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    ended_runs      jsonb,
    UNIQUE (intent_id, subscription_id),
    CONSTRAINT delivery_state CHECK (state IN ('pending', 'delivered', 'exhausted', 'cancelled', 'expired')),
    CONSTRAINT delivery_hold CHECK (hold IN ('', 'paused', 'circuit', 'slots')),
    CONSTRAINT delivery_held CHECK (hold = '' OR state = 'pending'),
    CONSTRAINT delivery_due CHECK (due_at IS NULL OR state = 'pending' AND hold = '')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX delivery_subscription_idx ON /* TEMPLATE: schema */delivery (subscription_id, id);

CREATE INDEX delivery_due_idx ON /* TEMPLATE: schema */delivery (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_held_idx ON /* TEMPLATE: schema */delivery (subscription_id, intent_id) WHERE hold <> '';
CREATE INDEX delivery_retry_idx ON /* TEMPLATE: schema */delivery (subscription_id, retry_at) WHERE hold = 'circuit' AND retry_at IS NOT NULL;

CREATE TABLE /* TEMPLATE: schema */attempt (
    delivery_id        uuid NOT NULL,
    seq                integer NOT NULL,
    round              integer NOT NULL,
    number             integer NOT NULL,
    manual             boolean NOT NULL DEFAULT false,
    outcome            text NOT NULL,
    error              text NOT NULL DEFAULT '',
    reason             text NOT NULL DEFAULT '',
    method             text NOT NULL DEFAULT '',
    status             integer NOT NULL DEFAULT 0,
    reason_phrase      text NOT NULL DEFAULT '',
    url                text NOT NULL DEFAULT '',
    request_headers    jsonb NOT NULL DEFAULT '{}',
    response_headers   jsonb NOT NULL DEFAULT '{}',
    response_body      bytea,
    response_sha256    bytea,
    response_truncated boolean NOT NULL DEFAULT false,
    retry_after_ms     bigint NOT NULL DEFAULT 0,
    duration_us        bigint NOT NULL DEFAULT 0,
    repeats            integer NOT NULL DEFAULT 0,
    engine             text NOT NULL DEFAULT '',
    started_at         timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, seq)
);

ALTER TABLE /* TEMPLATE: schema */attempt ALTER COLUMN response_body SET STORAGE EXTERNAL;

-- Inbound events ------------------------------------------------------------

-- What has come to a receiver, at most once for each delivery_id of the sender's. Its
-- River job is the alarm clock, this row is the truth: attempt counts the runs
-- and fences them, so that one that was overtaken, or whose event was deleted,
-- changes nothing. The id is random, not of version 7, since who knows it may ask
-- for the event.
CREATE TABLE /* TEMPLATE: schema */inbox_event (
    id                    uuid PRIMARY KEY,
    receiver              text NOT NULL,
    owner                 text NOT NULL DEFAULT '',
    delivery_id           text,
    content_type          text NOT NULL DEFAULT '',
    header                jsonb NOT NULL DEFAULT '{}',
    body                  bytea,
    state                 text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'gone')),
    attempt               integer NOT NULL DEFAULT 0, -- the last one that began, of any round
    attempts_before       integer NOT NULL DEFAULT 0, -- those of earlier rounds: each retry of a failed event opens one
    error                 text NOT NULL DEFAULT '',
    response_status       integer NOT NULL DEFAULT 0,
    response_content_type text NOT NULL DEFAULT '',
    response_body         bytea,
    job_id                bigint NOT NULL,
    received_at           timestamptz NOT NULL DEFAULT now(),
    due_at                timestamptz NOT NULL DEFAULT now(), -- when its job is to begin; of no meaning in the other states
    ended_at              timestamptz,
    UNIQUE (receiver, owner, delivery_id),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);

ALTER TABLE /* TEMPLATE: schema */inbox_event ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX inbox_event_due_idx ON /* TEMPLATE: schema */inbox_event (due_at) WHERE state = 'pending';
CREATE INDEX inbox_event_ended_idx ON /* TEMPLATE: schema */inbox_event (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX inbox_event_failed_idx ON /* TEMPLATE: schema */inbox_event (received_at, id) WHERE state = 'failed';
CREATE INDEX inbox_event_received_idx ON /* TEMPLATE: schema */inbox_event (received_at, id);

-- What a Func has reported last. It is apart from its event, so that the transaction
-- that the Func has open can end the event at every isolation level: a row that
-- another transaction has changed meanwhile it could not change any more.
CREATE TABLE /* TEMPLATE: schema */inbox_progress (
    event_id uuid PRIMARY KEY,
    message  text NOT NULL
) WITH (fillfactor = 50);

-- The tokens of hook URLs, by the SHA-256 of each.
CREATE TABLE /* TEMPLATE: schema */inbox_token (
    hash       bytea PRIMARY KEY,
    receiver   text NOT NULL,
    owner      text NOT NULL CHECK (owner <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX inbox_token_owner_idx ON /* TEMPLATE: schema */inbox_token (receiver, owner);

-- Engines -------------------------------------------------------------------

-- Whoever works River jobs of this schema: engines that deliver, and inboxes. A row
-- is a process. Its name is that of its River client: the id that it is known by,
-- which two can have, and a nonce.
CREATE TABLE /* TEMPLATE: schema */engine (
    process      text PRIMARY KEY,
    id           text NOT NULL,
    inbox        boolean NOT NULL DEFAULT false,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The write side --------------------------------------------------------------

-- event_time reads the clock for one event, in microseconds. Within a transaction each
-- reading is later than the one before, also when the clock is set back: the last one
-- is kept in a setting of the transaction. now() would be the beginning of the
-- transaction, which says nothing about the order in which two transactions
-- changed the same row. Whoever sets the setting by hand gains at most an hour.
CREATE FUNCTION /* TEMPLATE: schema */event_time() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    at bigint := extract(epoch FROM clock_timestamp()) * 1000000;
    last text := current_setting('riverhook.last_event', true);
BEGIN
    IF last <> '' AND last::bigint BETWEEN at AND at + 3600000000 THEN
        at := last::bigint + 1;
    END IF;
    PERFORM set_config('riverhook.last_event', at::text, true);
    RETURN to_timestamp(0) + at * interval '1 microsecond';
END
$$;

-- A version 7 UUID (RFC 9562, section 5.7) of a time by the database's clock, with
-- the fraction of the millisecond in rand_a (section 6.2, method 3): ids are ordered
-- as the events are. It is one expression, which Postgres inlines.
CREATE FUNCTION /* TEMPLATE: schema */new_id(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT (
        overlay(left(encode(int8send((extract(epoch FROM at) * 4096000)::bigint << 4), 'hex'), 15) placing '7' FROM 13 FOR 0)
        || right(encode(uuid_send(gen_random_uuid()), 'hex'), 16))::uuid
$$;

-- Whether the schema works with a client that was made for a version of it:
-- what the table migration says, as a constant. To read the table would cost an
-- intent more than to check it.
CREATE FUNCTION /* TEMPLATE: schema */accepts_client(client integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN false;
END
$$;

CREATE FUNCTION /* TEMPLATE: schema */migrated() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */accepts_client(client integer) RETURNS boolean
        LANGUAGE plpgsql IMMUTABLE
        AS ''BEGIN RETURN client BETWEEN %s AND %s; END''',
        (SELECT coalesce(max(coalesce(m.min_client, m.version)), 0) FROM /* TEMPLATE: schema */migration m),
        (SELECT coalesce(max(m.version), 0) FROM /* TEMPLATE: schema */migration m));
    RETURN NULL;
END
$$;

CREATE TRIGGER migrated AFTER INSERT OR UPDATE OR DELETE ON /* TEMPLATE: schema */migration
    FOR EACH STATEMENT EXECUTE FUNCTION /* TEMPLATE: schema */migrated();

CREATE FUNCTION /* TEMPLATE: schema */refuse_client(client integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    have integer; need integer;
BEGIN
    SELECT coalesce(max(m.version), 0), coalesce(max(coalesce(m.min_client, m.version)), 0) INTO have, need FROM /* TEMPLATE: schema */migration m;
    RAISE EXCEPTION 'riverhook: the schema is at version %, which works with clients from version % on; this client needs version %', have, need, client
    USING ERRCODE = 'RH001';
END
$$;

-- Whether JSON is nested more than 512 levels deep. Parsers that recurse stop
-- somewhere: Postgres's own by max_stack_depth, those of receivers who knows where.
-- Strings and all that is no bracket are taken out, and then the innermost
-- pairs, level by level. A string without an end reaches to the end of the text, so
-- that a text which is no JSON costs no more than one that is. Backslashes are written as
-- E'' because a session can switch standard_conforming_strings off. What is no JSON the cast refuses, but where it has so
-- many brackets that the cast could overflow the stack.
CREATE FUNCTION /* TEMPLATE: schema */nested_too_deep(data text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    brackets text; size integer;
BEGIN
    brackets := translate(regexp_replace(data, E'(?:[^][{}"]|"(?:[^"\\\\]|\\\\.)*(?:"|\\\\?$))+', '', 'g'), '{}', '[]');
    FOR levels IN 0..511 LOOP
        size := length(brackets);
        IF size <= 2 * (512 - levels) THEN -- a level is a pair
            RETURN false;
        END IF;
        brackets := replace(brackets, '[]', '');
        EXIT WHEN length(brackets) = size;
    END LOOP;
    RETURN brackets <> '';
END
$$;

-- What is wrong with an intent, as "field: reason", or null. wire_id is null
-- where the database makes the id.
CREATE FUNCTION /* TEMPLATE: schema */intent_problem(
    wire_id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
    attributes jsonb, data text, occurred_at timestamptz, not_before timestamptz, max_bytes integer)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    problem text;
BEGIN
    -- Regular expressions with bounds such as {1,64} are slow to match:
    -- lengths are compared apart.
    problem := CASE
        WHEN wire_id !~ '^[A-Za-z0-9_-]+$' OR length(wire_id) > 128
            THEN 'ID: must be 1 to 128 letters, digits, "_" or "-"'
        WHEN type IS NULL OR type !~ '^[a-z0-9_]+([.][a-z0-9_]+){1,7}$' OR length(type) > 128
            THEN 'Type: must be 2 to 8 segments of a-z, 0-9 or "_" joined by ".", at most 128 characters'
        WHEN starts_with(type, 'riverhook.')
            THEN 'Type: must not begin with "riverhook.": such events are Riverhook''s own'
        WHEN site <> '/' AND (
                site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR site ~ '/[.][.]?(/|$)' OR length(site) > 512
                OR length(site) > 64 AND (site ~ '[^/]{65}' OR length(site) - length(replace(site, '/', '')) > 32))
            THEN 'Site: must be "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
        WHEN active_site NOT IN ('', '/') AND (
                active_site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR active_site ~ '/[.][.]?(/|$)' OR length(active_site) > 512
                OR length(active_site) > 64 AND (active_site ~ '[^/]{65}' OR length(active_site) - length(replace(active_site, '/', '')) > 32))
            THEN 'ActiveSite: must be empty, "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
        WHEN (resource_kind = '') <> (resource_id = '')
            THEN 'Resource: needs both a kind and an id, or neither'
        WHEN length(resource_kind) > 128
            THEN 'Resource.Kind: must be at most 128 characters'
        WHEN length(resource_id) > 512
            THEN 'Resource.ID: must be at most 512 characters'
        WHEN length(actor) > 512
            THEN 'Actor: must be at most 512 characters'
        WHEN length(channel) > 512
            THEN 'Channel: must be at most 512 characters'
        WHEN jsonb_typeof(attributes) <> 'object'
             OR jsonb_path_exists(attributes, 'strict $.* ? (@.type() != "string")', '{}', true)
            THEN 'Attributes: must be an object whose values are strings'
        WHEN NOT (occurred_at >= '0001-01-01 00:00:00+00' AND occurred_at < '10000-01-01 00:00:00+00')
            THEN 'OccurredAt: must be in the years 1 to 9999'
        WHEN NOT (not_before >= '0001-01-01 00:00:00+00' AND not_before < '10000-01-01 00:00:00+00')
            THEN 'NotBefore: must be in the years 1 to 9999'
        WHEN data IS NULL
            THEN 'Data: is missing'
        WHEN octet_length(data) > least(max_bytes, 67108864) -- the most that a client may be configured to allow
            THEN format('Data: has %s bytes; at most %s are allowed', octet_length(data), least(max_bytes, 67108864))
        -- 513 levels have 1026 brackets, half of which open.
        WHEN octet_length(data) > 1025 AND octet_length(data) - octet_length(replace(replace(data, '[', ''), '{', '')) > 512
             AND /* TEMPLATE: schema */nested_too_deep(data)
            THEN 'Data: is nested more than 512 levels deep'
        WHEN data::json IS NULL -- never; text that is not JSON is an error here
            THEN 'Data: is not valid JSON'
    END;
    -- A query is dearer than an expression, even one that is not reached.
    IF problem IS NULL AND octet_length(attributes::text) > 65536 THEN
        IF (SELECT sum(octet_length(a.key) + octet_length(a.value)) FROM jsonb_each_text(attributes) a) > 65536 THEN
            RETURN 'Attributes: must be at most 65536 bytes of keys and values';
        END IF;
    END IF;
    RETURN problem;
END
$$;

-- What tells whether an intent that has an id already is the same one. Stable, as
-- convert_to is, so that Postgres can inline it.
CREATE FUNCTION /* TEMPLATE: schema */intent_digest(type text, site text, resource_kind text, resource_id text, data text) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT sha256(
        convert_to(type, 'UTF8') || decode('00', 'hex') || convert_to(site, 'UTF8') || decode('00', 'hex')
        || convert_to(resource_kind, 'UTF8') || decode('00', 'hex') || convert_to(resource_id, 'UTF8') || decode('00', 'hex') || convert_to(data, 'UTF8'))
$$;

-- enqueue_one writes an intent and the River job that expands it, and returns
-- one row: inserted or duplicate; or invalid with the field and the reason, or
-- conflict, and then nothing was written and the transaction can go on. Only id,
-- occurred_at and not_before can be null. Statements of single rows, whose plans
-- are kept, cost a third of those that serve a hundred: that is enqueue_batch.
--
-- Both run with their owner's rights: a role that may execute them can enqueue
-- and do nothing else.
CREATE FUNCTION /* TEMPLATE: schema */enqueue_one(
    id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
    attributes jsonb, schema_version integer, data text, occurred_at timestamptz, not_before timestamptz,
    client integer, max_bytes integer, notify boolean,
    OUT wire_id text, OUT outcome text, OUT field text, OUT reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at timestamptz; key uuid; job bigint; problem text; due timestamptz;
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;

    problem := /* TEMPLATE: schema */intent_problem(
        id, type, site, active_site, resource_kind, resource_id, actor, channel, attributes, data, occurred_at, not_before, max_bytes);
    IF problem IS NOT NULL THEN
        outcome := 'invalid';
        field := split_part(problem, ': ', 1);
        reason := substr(problem, strpos(problem, ': ') + 2);
        RETURN;
    END IF;

    at := /* TEMPLATE: schema */event_time();
    key := /* TEMPLATE: schema */new_id(at);
    wire_id := coalesce(id, key::text);
    outcome := 'inserted';
    INSERT INTO /* TEMPLATE: schema */intent (
        id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
        attributes, schema_version, tree_version, data, digest, occurred_at, not_before)
    VALUES (
        key, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
        attributes, schema_version, (SELECT coalesce(max(a.ended), 0) + 1 FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807),
        convert_to(data, 'UTF8'), /* TEMPLATE: schema */intent_digest(type, site, resource_kind, resource_id, data),
        coalesce(occurred_at, at), not_before)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := CASE
            WHEN EXISTS (
                SELECT FROM /* TEMPLATE: schema */intent e
                WHERE e.wire_id = enqueue_one.wire_id
                AND e.digest <> /* TEMPLATE: schema */intent_digest(type, site, resource_kind, resource_id, data))
            THEN 'conflict' ELSE 'duplicate'
        END;
        RETURN;
    END IF;

    due := greatest(now(), not_before);
    INSERT INTO /* TEMPLATE: schema */river_job (state, max_attempts, args, kind, queue, scheduled_at, tags)
    VALUES (
        CASE WHEN due > now() THEN 'scheduled' ELSE 'available' END::/* TEMPLATE: schema */river_job_state,
        1000, jsonb_build_object('intent_id', key), 'riverhook_expand', 'expand', due, '{}')
    RETURNING river_job.id INTO job;
    INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at) VALUES (key, job, due);

    IF notify AND due <= now() THEN
        PERFORM pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}');
    END IF;
END
$$;

-- enqueue_batch does for any number of intents what enqueue_one does for one:
-- all of them or none. Where all are good it returns a row for each: inserted or
-- duplicate. Otherwise it returns a row for each that is not: invalid or
-- conflict. Intents are inserted in the order of their ids, so that two calls
-- cannot deadlock.
CREATE FUNCTION /* TEMPLATE: schema */enqueue_batch(intents json, client integer, max_bytes integer, notify boolean)
RETURNS TABLE (ord integer, id text, outcome text, field text, reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r record; n integer := 0; at timestamptz; problem text; problems text[];
    i /* TEMPLATE: schema */intent; given /* TEMPLATE: schema */intent[]; fresh uuid[]; due boolean;
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;

    FOR r IN
        SELECT * FROM json_to_recordset(intents) AS (
            id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
            attributes jsonb, schema_version integer, data text, occurred_at timestamptz, not_before timestamptz)
    LOOP
        n := n + 1;
        at := /* TEMPLATE: schema */event_time();
        i.id := /* TEMPLATE: schema */new_id(at);
        i.wire_id := coalesce(r.id, i.id::text);
        i.type := r.type;
        i.site := coalesce(nullif(r.site, ''), '/');
        i.active_site := coalesce(r.active_site, '');
        i.resource_kind := coalesce(r.resource_kind, '');
        i.resource_id := coalesce(r.resource_id, '');
        i.actor := coalesce(r.actor, '');
        i.channel := coalesce(r.channel, '');
        i.attributes := coalesce(r.attributes, '{}');
        i.schema_version := coalesce(r.schema_version, 0);
        i.data := convert_to(r.data, 'UTF8');
        i.digest := /* TEMPLATE: schema */intent_digest(i.type, i.site, i.resource_kind, i.resource_id, r.data);
        i.occurred_at := coalesce(r.occurred_at, at);
        i.not_before := r.not_before;
        given[n] := i;
        problem := /* TEMPLATE: schema */intent_problem(
            r.id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel,
            i.attributes, r.data, i.occurred_at, i.not_before, max_bytes);
        IF problem IS NOT NULL THEN
            problems[n] := problem;
        END IF;
    END LOOP;

    IF problems IS NOT NULL THEN
        RETURN QUERY
        SELECT u.o, NULL::text, 'invalid', split_part(problems[u.o], ': ', 1), substr(problems[u.o], strpos(problems[u.o], ': ') + 2)
        FROM generate_subscripts(problems, 1) AS u (o)
        WHERE problems[u.o] IS NOT NULL;
        RETURN;
    END IF;

    WITH inserted AS (
        INSERT INTO /* TEMPLATE: schema */intent (
            id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
            attributes, schema_version, tree_version, data, digest, occurred_at, not_before)
        SELECT
            g.id, g.wire_id, g.type, g.site, g.active_site, g.resource_kind, g.resource_id, g.actor, g.channel,
            g.attributes, g.schema_version, (SELECT coalesce(max(a.ended), 0) + 1 FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807),
            g.data, g.digest, g.occurred_at, g.not_before
        FROM unnest(given) g
        ORDER BY g.wire_id, g.id
        ON CONFLICT (wire_id) DO NOTHING
        RETURNING id, not_before
    ), job AS (
        INSERT INTO /* TEMPLATE: schema */river_job (
            state, max_attempts, args, kind, queue, scheduled_at, tags)
        SELECT
            CASE WHEN w.not_before > now() THEN 'scheduled' ELSE 'available' END::/* TEMPLATE: schema */river_job_state,
            1000, jsonb_build_object('intent_id', w.id), 'riverhook_expand', 'expand',
            greatest(coalesce(w.not_before, now()), now()), '{}'
        FROM inserted w
        ORDER BY w.id
        RETURNING id, (args ->> 'intent_id')::uuid AS intent_id, scheduled_at
    ), state AS (
        INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at)
        SELECT j.intent_id, j.id, j.scheduled_at FROM job j
    )
    SELECT array_agg(w.id), bool_or(coalesce(w.not_before, now()) <= now()) INTO fresh, due FROM inserted w;

    IF cardinality(fresh) IS DISTINCT FROM n AND EXISTS (
            SELECT FROM unnest(given) g JOIN /* TEMPLATE: schema */intent e ON e.wire_id = g.wire_id AND e.digest <> g.digest) THEN
        DELETE FROM /* TEMPLATE: schema */river_job j
            USING /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (fresh) AND j.id = s.job_id;
        DELETE FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (fresh);
        RETURN QUERY
        SELECT g.ordinality::integer, g.wire_id, 'conflict', NULL::text, NULL::text
        FROM unnest(given) WITH ORDINALITY AS g
        JOIN /* TEMPLATE: schema */intent e ON e.wire_id = g.wire_id AND e.digest <> g.digest;
        DELETE FROM /* TEMPLATE: schema */intent e WHERE e.id = ANY (fresh);
        RETURN;
    END IF;

    IF notify AND due THEN
        PERFORM pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}');
    END IF;

    RETURN QUERY
    SELECT g.ordinality::integer, g.wire_id, CASE WHEN w.id IS NULL THEN 'duplicate' ELSE 'inserted' END, NULL::text, NULL::text
    FROM unnest(given) WITH ORDINALITY AS g LEFT JOIN unnest(fresh) AS w (id) ON w.id = g.id;
END
$$;

-- enqueue writes one intent and returns its id. It is for psql, triggers and
-- programs in other languages; the Go client calls the two functions above. What
-- that knows about event types by itself is looked up here, by key: data is checked
-- by no schema, and schema_version is the caller's word that it has done so.
CREATE FUNCTION /* TEMPLATE: schema */enqueue(
    type text, data json, site text DEFAULT '/', resource_kind text DEFAULT '', resource_id text DEFAULT '',
    active_site text DEFAULT '', actor text DEFAULT '', channel text DEFAULT '', attributes jsonb DEFAULT '{}',
    id text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL, not_before timestamptz DEFAULT NULL, notify boolean DEFAULT true,
    schema_version integer DEFAULT 0, strict boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record; archived boolean; problem text;
BEGIN
    SELECT t.archived_at IS NOT NULL INTO archived FROM /* TEMPLATE: schema */event_type t WHERE t.name = enqueue.type;
    problem := CASE
        WHEN archived THEN format('Type: "%s" is archived', type)
        WHEN strict AND archived IS NULL THEN format('Type: "%s" is not registered; register it, or leave strict out', left(type, 200))
        WHEN schema_version <> 0 AND NOT EXISTS (
                SELECT FROM /* TEMPLATE: schema */event_schema s WHERE s.type = enqueue.type AND s.version = schema_version)
            THEN format('SchemaVersion: %s is not registered for the type "%s"', schema_version, left(type, 200))
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'riverhook: intent: %', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;

    r := /* TEMPLATE: schema */enqueue_one(
        id, type, coalesce(nullif(site, ''), '/'), coalesce(active_site, ''), coalesce(resource_kind, ''), coalesce(resource_id, ''),
        coalesce(actor, ''), coalesce(channel, ''), coalesce(attributes, '{}'), coalesce(schema_version, 0), data::text, occurred_at, not_before,
        NULL, 262144, notify);
    IF r.outcome = 'invalid' THEN
        RAISE EXCEPTION 'riverhook: intent: %: %', r.field, r.reason USING ERRCODE = 'invalid_parameter_value';
    ELSIF r.outcome = 'conflict' THEN
        RAISE EXCEPTION 'riverhook: intent %: the id is taken by an intent with other content', r.wire_id USING ERRCODE = 'unique_violation';
    END IF;
    RETURN r.wire_id;
END
$$;

-- erase removes the payloads of a resource: data and attributes of its intents,
-- messages, what attempts have sent and were answered, and the words of host code in
-- reasons. The rows stay, to say what has happened. What is pending of it is cancelled. It returns how many
-- intents, messages, deliveries that were pending and attempts it has changed;
-- refused says why it has done nothing.
--
-- Each statement must see what others have committed meanwhile: what an engine
-- was writing is waited for, by the row of the intent's state or of the delivery,
-- and then seen by the next statement.
CREATE FUNCTION /* TEMPLATE: schema */erase(
    resource_kind text, resource_id text, client integer DEFAULT NULL,
    OUT refused text, OUT intents integer, OUT messages integer, OUT deliveries integer, OUT attempts integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;
    IF coalesce(erase.resource_kind, '') = '' OR coalesce(erase.resource_id, '') = '' THEN
        refused := 'resource';
        RETURN;
    ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
        refused := 'isolation';
        RETURN;
    END IF;

    -- No question about it is just being recorded, and those that are recorded later
    -- know. The transaction's own clock may be from long before.
    PERFORM pg_advisory_xact_lock(hashtextextended('/* TEMPLATE: schema_name */ erase ' || erase.resource_kind || ' ' || erase.resource_id, 0));
    INSERT INTO /* TEMPLATE: schema */erasure AS e (resource, erased_at)
    VALUES (sha256(convert_to(erase.resource_kind, 'UTF8') || decode('00', 'hex') || convert_to(erase.resource_id, 'UTF8')), clock_timestamp())
    ON CONFLICT (resource) DO UPDATE SET erased_at = excluded.erased_at;

    -- Intents before their states, as whoever runs one again.
    SELECT array_agg(l.id) INTO ids FROM (
        SELECT i.id FROM /* TEMPLATE: schema */intent i
        WHERE i.resource_kind = erase.resource_kind AND i.resource_kind <> '' AND i.resource_id = erase.resource_id
            AND i.gone IS DISTINCT FROM 'erased'
        ORDER BY i.id
        FOR UPDATE) l;
    PERFORM FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (ids) ORDER BY s.intent_id FOR UPDATE;
    UPDATE /* TEMPLATE: schema */intent_state s SET keep = NULL, keep_at = NULL WHERE s.intent_id = ANY (ids) AND s.keep IS NOT NULL;
    UPDATE /* TEMPLATE: schema */intent_state s SET state = 'cancelled', reason = 'erased', ended_at = now()
    WHERE s.intent_id = ANY (ids) AND s.state = 'pending';
    UPDATE /* TEMPLATE: schema */decision c SET outcome = 'gone', reason = 'erased', job_id = NULL, decided_at = now()
    WHERE c.intent_id = ANY (ids) AND c.outcome = 'waiting';
    -- Behind what Riverhook says of a decision are words of host code.
    UPDATE /* TEMPLATE: schema */decision c SET reason = split_part(c.reason, ': ', 1)
    WHERE c.intent_id = ANY (ids) AND c.outcome <> 'inactive';

    PERFORM FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = ANY (ids) ORDER BY d.id FOR UPDATE;
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'cancelled', reason = 'erased', hold = '', held_since = NULL, job_id = NULL,
        due_at = NULL, ended_at = now(), erased = true
    WHERE d.intent_id = ANY (ids) AND d.state = 'pending';
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    -- The reason of a veto is of the receiver's making, what a checker has said of host code's.
    UPDATE /* TEMPLATE: schema */delivery d SET erased = true, reason = CASE
            WHEN d.last_outcome = 'vetoed' THEN ''
            WHEN starts_with(d.reason, 'access denied: ') OR starts_with(d.reason, 'unresolvable: ') THEN split_part(d.reason, ': ', 1)
            ELSE d.reason
        END
    WHERE d.intent_id = ANY (ids) AND NOT d.erased;

    UPDATE /* TEMPLATE: schema */message m SET headers = '{}', body = NULL, body_sha256 = NULL, gone = true WHERE m.intent_id = ANY (ids);
    GET DIAGNOSTICS messages = ROW_COUNT;
    -- Behind its class the text of an error can be of the receiver's making.
    UPDATE /* TEMPLATE: schema */attempt a SET
        error = split_part(a.error, ':', 1), reason_phrase = '', request_headers = '{}', response_headers = '{}', response_body = NULL, response_sha256 = NULL
    FROM /* TEMPLATE: schema */delivery d
    WHERE d.intent_id = ANY (ids) AND a.delivery_id = d.id;
    GET DIAGNOSTICS attempts = ROW_COUNT;
    UPDATE /* TEMPLATE: schema */intent i SET
        attributes = '{}', data = NULL, data_sha256 = NULL, digest = NULL, gone = 'erased', gone_at = now()
    WHERE i.id = ANY (ids);
    GET DIAGNOSTICS intents = ROW_COUNT;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */erase(text, text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */event_time() FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */new_id(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */accepts_client(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */migrated() FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */refuse_client(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */nested_too_deep(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */intent_problem(text, text, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */intent_digest(text, text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue_one(text, text, text, text, text, text, text, text, jsonb, integer, text, timestamptz, timestamptz, integer, integer, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue_batch(json, integer, integer, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue(text, json, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, boolean, integer, boolean) FROM PUBLIC;
