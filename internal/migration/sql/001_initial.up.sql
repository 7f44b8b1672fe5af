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
CREATE INDEX site_alias_ended_idx ON /* TEMPLATE: schema */site_alias (ended, path) WHERE ended < 9223372036854775807;

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
    rate_events     integer NOT NULL DEFAULT 0,
    rate_per_ms     integer NOT NULL DEFAULT 0,
    rate_burst      integer NOT NULL DEFAULT 0,
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

-- Who creates a subscription takes the locks of its owner and of its site, one
-- after another, so that what has been counted is still so when it is created. A
-- lock is a row that is updated, rather than an advisory lock, for those whose isolation
-- keeps them from seeing what was created while they waited: they fail.
CREATE TABLE /* TEMPLATE: schema */creation_lock (
    id    integer PRIMARY KEY,
    taken bigint NOT NULL DEFAULT 1
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

-- The secrets that sign the requests of a subscription now. packed is the form in which
-- an engine reads one: its id, a byte that says whether it is sealed, and its value.
CREATE VIEW /* TEMPLATE: schema */signing_secret AS
SELECT
    k.subscription_id, k.id, k.created_at,
    (uuid_send(k.id) || CASE WHEN k.sealed THEN decode('01', 'hex') ELSE decode('00', 'hex') END || k.value)::bytea AS packed
FROM /* TEMPLATE: schema */secret k
WHERE k.pending_overlap_ms IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());

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
    share         text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intent_gone CHECK (gone IN ('dropped', 'erased', 'hashed', 'pruned'))
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
    CONSTRAINT intent_state_keep CHECK (keep IN ('hash', 'nothing')),
    CONSTRAINT intent_state_keep_at CHECK ((keep IS NULL) = (keep_at IS NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX intent_state_keep_idx ON /* TEMPLATE: schema */intent_state (keep_at, intent_id) WHERE keep_at IS NOT NULL;

-- River uses these indexes to find jobs by their arguments or metadata. Nothing in Riverhook does
-- that, and they take about a quarter of the processor time that the server spends on a webhook.
DROP INDEX /* TEMPLATE: schema */river_job_args_index;
DROP INDEX /* TEMPLATE: schema */river_job_metadata_index;

-- The jobs that are available, by the shares of which turns are taken, the oldest of each first.
-- Order within a share must not depend on a collation, which an update of the system can change.
CREATE INDEX river_job_share_idx ON /* TEMPLATE: schema */river_job (queue, (tags[1]) COLLATE "C", scheduled_at, id)
    WHERE state = 'available' AND tags[1] IS NOT NULL;

-- Maintenance goes through what is due in the order of this index and of those like it, a part at
-- a time. The id makes each place one of its own: a transaction can make a million rows due at once.
CREATE INDEX intent_state_due_idx ON /* TEMPLATE: schema */intent_state (due_at, intent_id) WHERE due_at IS NOT NULL;

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
--
-- One that waits has a River job, which is due_at, or is held for a cause and has neither.
-- The cause, the share and the probes are as those of a delivery. held_since is when it
-- began to wait.
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
    cause           text COLLATE "C",
    cause_share     text COLLATE "C",
    probes          integer NOT NULL DEFAULT 0,
    held_since      timestamptz,
    PRIMARY KEY (intent_id, subscription_id),
    CONSTRAINT decision_outcome CHECK (outcome IN ('waiting', 'denied', 'filtered', 'unresolvable', 'inactive', 'gone', 'failed', 'unanswered', 'filter_error'))
);

CREATE INDEX decision_subscription_idx ON /* TEMPLATE: schema */decision (subscription_id, intent_id);
CREATE INDEX decision_waiting_idx ON /* TEMPLATE: schema */decision (due_at, intent_id, subscription_id)
    WHERE outcome = 'waiting' AND due_at IS NOT NULL;
CREATE INDEX decision_cause_idx ON /* TEMPLATE: schema */decision (cause, cause_share, probes, intent_id) WHERE outcome = 'waiting' AND due_at IS NULL;
CREATE INDEX decision_held_idx ON /* TEMPLATE: schema */decision (held_since) WHERE outcome = 'waiting' AND due_at IS NULL;
CREATE INDEX decision_cause_subscription_idx ON /* TEMPLATE: schema */decision (subscription_id, cause) WHERE outcome = 'waiting' AND due_at IS NULL;

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
-- person wants the next attempt now, whatever its endpoint has asked for. held_since is when
-- the wait began: it stays while no attempt is made, whatever releases and holds it meanwhile.
--
-- cause is what the delivery is held for, if its hold is 'cause', or was held for last; a
-- kind, a colon and a name. cause_share is that of its intent, by whose turns it is released.
-- probes is how often it was released and held again: what was not is released first.
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
    cause           text COLLATE "C",
    cause_share     text COLLATE "C",
    probes          integer NOT NULL DEFAULT 0,
    UNIQUE (intent_id, subscription_id),
    CONSTRAINT delivery_state CHECK (state IN ('pending', 'delivered', 'exhausted', 'cancelled', 'expired')),
    CONSTRAINT delivery_hold CHECK (hold IN ('', 'cause', 'paused', 'circuit', 'rate', 'slots')),
    CONSTRAINT delivery_held CHECK (hold = '' OR held_since IS NOT NULL AND state = 'pending'),
    CONSTRAINT delivery_cause CHECK (hold <> 'cause' OR cause IS NOT NULL AND cause_share IS NOT NULL),
    CONSTRAINT delivery_due CHECK (due_at IS NULL OR state = 'pending' AND hold = '')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX delivery_subscription_idx ON /* TEMPLATE: schema */delivery (subscription_id, id);

CREATE INDEX delivery_due_idx ON /* TEMPLATE: schema */delivery (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_held_idx ON /* TEMPLATE: schema */delivery (subscription_id, intent_id) WHERE hold NOT IN ('', 'cause');
CREATE INDEX delivery_held_since_idx ON /* TEMPLATE: schema */delivery (held_since) WHERE hold <> '';
CREATE INDEX delivery_cause_idx ON /* TEMPLATE: schema */delivery (cause, cause_share, probes, intent_id) WHERE hold = 'cause';
CREATE INDEX delivery_cause_subscription_idx ON /* TEMPLATE: schema */delivery (subscription_id, cause, intent_id) WHERE hold = 'cause';
CREATE INDEX delivery_retry_idx ON /* TEMPLATE: schema */delivery (subscription_id, retry_at) WHERE hold = 'circuit' AND retry_at IS NOT NULL;

-- How far those are that have a rate: a subscription, 's' and its id, or an owner, 'o' and its
-- name. taken_until is the theoretical arrival time of the generic cell rate algorithm: engines
-- have leased all requests that the rate has up to then. released_until is the same of the held
-- deliveries that were released, and holds for a while after released_at: what was released
-- leases when it is sent. free_at is when the next request may go out. A row whose times have
-- passed says as much as none.
CREATE TABLE /* TEMPLATE: schema */rate (
    key            text PRIMARY KEY,
    taken_until    timestamptz NOT NULL DEFAULT now(),
    released_until timestamptz NOT NULL DEFAULT now(),
    released_at    timestamptz NOT NULL DEFAULT now(),
    free_at        timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- A cause is why deliveries and decisions are held that has nothing to do with an endpoint:
-- what no process has, or what cannot be asked. The rows that are held name it, and decide
-- whether there is one; this row says since when it is known, when an engine last released
-- one of them to see whether it is over, how often that was in vain, and when the next one
-- may. Who holds a row does not write here.
CREATE TABLE /* TEMPLATE: schema */cause (
    name      text COLLATE "C" PRIMARY KEY,
    since     timestamptz NOT NULL DEFAULT now(),
    probed_at timestamptz,
    probe_at  timestamptz NOT NULL,
    tries     integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

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
    PRIMARY KEY (delivery_id, seq),
    CONSTRAINT attempt_outcome CHECK (outcome IN (
        'blocked', 'delivered', 'failed', 'gone', 'interrupted', 'proxy_failed', 'redirected', 'rejected', 'throttled', 'timeout',
        'unreachable', 'vetoed'))
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

-- The engine that does what concerns all of them, and when it has said so last. A lease that is
-- old is anybody's. There is one row.
CREATE TABLE /* TEMPLATE: schema */maintenance_lease (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    process  text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
