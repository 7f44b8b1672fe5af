-- name: AddInboxEvent :many
-- AddInboxEvent stores an event with the job that processes it, unless the
-- sender's id is known. It waits for a transaction that is about to store the same
-- one, and needs READ COMMITTED.
WITH added AS (
    INSERT INTO /* TEMPLATE: schema */inbox_event (id, receiver, owner, delivery_id, content_type, header, body, job_id, due_at)
    VALUES (@id, @receiver, @owner, nullif(sqlc.arg(delivery_id)::text, ''), @content_type, @header, @body,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass),
        now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond')
    ON CONFLICT (receiver, owner, delivery_id) DO NOTHING
    RETURNING id, job_id, due_at
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at)
    SELECT a.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at
    FROM added a CROSS JOIN LATERAL /* TEMPLATE: schema */job_receive(a.id, a.due_at) j
)
SELECT a.id, pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "inbox"}')::text AS notified FROM added a;

-- name: InboxEventOfDelivery :one
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e
WHERE e.receiver = @receiver AND e.owner = @owner AND e.delivery_id = sqlc.arg(delivery_id)::text;

-- name: InboxStatus :one
SELECT e.receiver, e.owner, e.state, e.attempt, coalesce(p.message, '') AS message, e.error,
    e.response_status, e.response_content_type, e.response_body
FROM /* TEMPLATE: schema */inbox_event e
LEFT JOIN /* TEMPLATE: schema */inbox_progress p ON p.event_id = e.id
WHERE e.id = @id;

-- name: ListInboxEvents :many
-- ListInboxEvents is to be planned for its parameters: each filter that is off
-- folds away.
SELECT e.id, e.receiver, e.owner, coalesce(e.delivery_id, '') AS delivery_id, e.content_type, e.state, e.attempt,
    coalesce(p.message, '') AS message, e.error, e.response_status, e.received_at, e.due_at, e.ended_at
FROM /* TEMPLATE: schema */inbox_event e
LEFT JOIN /* TEMPLATE: schema */inbox_progress p ON p.event_id = e.id
WHERE (sqlc.arg(receiver)::text = '' OR e.receiver = sqlc.arg(receiver)::text)
    AND (sqlc.arg(owner)::text = '' OR e.owner = sqlc.arg(owner)::text)
    AND (sqlc.arg(state)::text = '' OR e.state = sqlc.arg(state)::text)
    AND (sqlc.narg(since)::timestamptz IS NULL OR e.received_at >= sqlc.narg(since)::timestamptz)
    AND (sqlc.narg(until)::timestamptz IS NULL OR e.received_at < sqlc.narg(until)::timestamptz)
    AND (sqlc.narg(before_at)::timestamptz IS NULL
        OR (e.received_at, e.id) < (sqlc.narg(before_at)::timestamptz, sqlc.arg(before_id)::uuid))
ORDER BY e.received_at DESC, e.id DESC
LIMIT sqlc.arg(max_rows)::integer;

-- name: FailedInboxEventOfDelivery :many
-- FailedInboxEventOfDelivery finds and locks the event of a delivery that comes again,
-- where it has failed.
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e
WHERE e.receiver = @receiver AND e.owner = @owner AND e.delivery_id = sqlc.arg(delivery_id)::text AND e.state = 'failed'
FOR UPDATE;

-- name: FailedInboxEvent :many
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e WHERE e.id = @id AND e.state = 'failed' FOR UPDATE;

-- name: FailedInboxEvents :many
-- FailedInboxEvents finds and locks events to be retried that failed before a time, oldest
-- first. Those that another locks are being retried, or deleted.
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e
WHERE e.state = 'failed' AND e.ended_at < sqlc.arg(ended_before)::timestamptz
    AND (sqlc.arg(receiver)::text = '' OR e.receiver = sqlc.arg(receiver)::text)
    AND (sqlc.arg(owner)::text = '' OR e.owner = sqlc.arg(owner)::text)
    AND (sqlc.narg(since)::timestamptz IS NULL OR e.received_at >= sqlc.narg(since)::timestamptz)
    AND (sqlc.narg(until)::timestamptz IS NULL OR e.received_at < sqlc.narg(until)::timestamptz)
ORDER BY e.received_at, e.id
LIMIT sqlc.arg(max_rows)::integer
FOR UPDATE SKIP LOCKED;

-- name: InboxTime :one
SELECT clock_timestamp()::timestamptz AS now;

-- name: RetryInboxEvents :many
-- RetryInboxEvents opens a new round of events that have failed, which the
-- caller has locked.
WITH opened AS (
    UPDATE /* TEMPLATE: schema */inbox_event e SET
        state = 'pending', attempts_before = e.attempt, error = '', ended_at = NULL,
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass),
        due_at = now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond'
    WHERE e.id = ANY (@ids::uuid[]) AND e.state = 'failed'
    RETURNING e.id, e.job_id, e.due_at
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at)
    SELECT o.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at
    FROM opened o CROSS JOIN LATERAL /* TEMPLATE: schema */job_receive(o.id, o.due_at) j
)
SELECT o.id, pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "inbox"}')::text AS notified FROM opened o;

-- name: HastenInboxEvent :many
-- HastenInboxEvent makes an event due that waits for its next attempt. One whose
-- attempt of this round has not failed is under way, or about to be.
WITH waiting AS (
    SELECT e.id, e.job_id FROM /* TEMPLATE: schema */inbox_event e
    WHERE e.id = @id AND e.state = 'pending' AND e.error <> ''
        AND EXISTS (
            SELECT FROM /* TEMPLATE: schema */river_job j
            WHERE j.id = e.job_id AND j.state IN ('available', 'retryable', 'scheduled'))
    FOR UPDATE
), due AS (
    UPDATE /* TEMPLATE: schema */inbox_event e SET due_at = now() FROM waiting w WHERE e.id = w.id
), job AS (
    UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
    FROM waiting w
    WHERE j.id = w.job_id AND j.state IN ('available', 'retryable', 'scheduled')
    RETURNING j.id
)
SELECT job.id, pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "inbox"}')::text AS notified FROM job;

-- name: PendingInboxEvent :one
SELECT e.id, e.receiver, e.owner, coalesce(e.delivery_id, '') AS delivery_id, e.content_type, e.header, e.body, e.attempt,
    e.attempts_before, e.job_id, e.received_at
FROM /* TEMPLATE: schema */inbox_event e
WHERE e.id = @id AND e.state = 'pending';

-- name: BeginInboxAttempt :execrows
-- BeginInboxAttempt opens the attempt that follows on @attempt. From then on no
-- other can be recorded.
UPDATE /* TEMPLATE: schema */inbox_event e SET attempt = e.attempt + 1
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt;

-- name: FinishInboxAttempt :execrows
UPDATE /* TEMPLATE: schema */inbox_event e SET
    state = 'done', error = '', ended_at = now(), response_status = @response_status,
    response_content_type = @response_content_type, response_body = @response_body
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt;

-- name: FailInboxAttempt :execrows
-- FailInboxAttempt records an attempt that was the last.
UPDATE /* TEMPLATE: schema */inbox_event e SET error = @error, state = 'failed', ended_at = now()
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt;

-- name: PostponeInboxEvent :execrows
-- PostponeInboxEvent makes the job of the next attempt, by the database's clock, and
-- records why this one failed. '' leaves what is there.
WITH moved AS (
    UPDATE /* TEMPLATE: schema */inbox_event e SET
        error = CASE WHEN sqlc.arg(error)::text = '' THEN e.error ELSE sqlc.arg(error)::text END,
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass),
        due_at = now() + sqlc.arg(wait_ms)::bigint * interval '1 millisecond'
    WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt
    RETURNING e.id, e.job_id, e.due_at
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at
    FROM moved m CROSS JOIN LATERAL /* TEMPLATE: schema */job_receive(m.id, m.due_at) j
)
SELECT m.id FROM moved m;

-- name: DropInboxJob :execrows
-- DropInboxJob removes the job of an attempt that was made without it.
DELETE FROM /* TEMPLATE: schema */river_job j WHERE j.id = @job_id AND j.state IN ('available', 'retryable', 'scheduled');

-- name: ReportInboxProgress :execrows
-- ReportInboxProgress keeps the event from being deleted meanwhile, and changes
-- nothing of it.
INSERT INTO /* TEMPLATE: schema */inbox_progress (event_id, message)
SELECT e.id, sqlc.arg(message)::text FROM /* TEMPLATE: schema */inbox_event e
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt
FOR SHARE
ON CONFLICT (event_id) DO UPDATE SET message = excluded.message;

-- name: DeleteInboxEvent :one
-- DeleteInboxEvent ends an event and purges what it carried. The row remains, to
-- know the sender's id.
UPDATE /* TEMPLATE: schema */inbox_event e SET
    state = 'gone', content_type = '', header = '{}', body = NULL, error = '',
    response_status = 0, response_content_type = '', response_body = NULL, ended_at = now()
WHERE e.id = @id AND e.receiver = @receiver AND e.owner = @owner
RETURNING e.job_id;

-- name: DeleteInboxProgress :execrows
DELETE FROM /* TEMPLATE: schema */inbox_progress p WHERE p.event_id = @event_id;

-- name: ReconcileInbox :many
-- ReconcileInbox looks at due events whose River job does not do its part, as
-- ReconcileDeliveries does: one that was deleted, discarded or cancelled by hand is made
-- anew, and one that should have begun, or is to begin much later, begins now.
WITH lost AS (
    SELECT e.id, e.job_id AS old_job_id, coalesce(j.state IN ('available', 'retryable', 'scheduled'), false) AS waits
    FROM /* TEMPLATE: schema */inbox_event e
    LEFT JOIN /* TEMPLATE: schema */river_job j ON j.id = e.job_id
    WHERE e.state = 'pending' AND e.due_at <= now()
        AND /* TEMPLATE: schema */job_lost(
            j.id, j.state, j.scheduled_at, sqlc.arg(late_ms)::bigint, sqlc.arg(early_ms)::bigint)
    ORDER BY e.due_at
    LIMIT sqlc.arg(max_rows)::integer
    FOR UPDATE OF e SKIP LOCKED
), late AS (
    SELECT l.id FROM lost l WHERE l.waits AND /* TEMPLATE: schema */job_hasten(l.old_job_id)
), moved AS (
    UPDATE /* TEMPLATE: schema */inbox_event e SET
        job_id = nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass), due_at = now()
    FROM lost l
    WHERE e.id = l.id AND e.state = 'pending' AND e.job_id = l.old_job_id AND NOT l.waits
    RETURNING e.id, e.job_id
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at
    FROM moved m CROSS JOIN LATERAL /* TEMPLATE: schema */job_receive(m.id, now()) j
)
SELECT m.id FROM moved m UNION ALL SELECT late.id FROM late;

-- name: PruneInbox :execrows
-- PruneInbox forgets events that ended long ago, and with them their delivery ids.
WITH pruned AS (
    DELETE FROM /* TEMPLATE: schema */inbox_event e
    WHERE e.id IN (
        SELECT o.id FROM /* TEMPLATE: schema */inbox_event o
        WHERE o.ended_at < now() - sqlc.arg(retention_ms)::bigint * interval '1 millisecond'
        ORDER BY o.ended_at
        LIMIT sqlc.arg(max_rows)::integer
        FOR UPDATE SKIP LOCKED)
    RETURNING e.id
)
DELETE FROM /* TEMPLATE: schema */inbox_progress p WHERE p.event_id IN (SELECT pruned.id FROM pruned);

-- name: AddInboxToken :exec
INSERT INTO /* TEMPLATE: schema */inbox_token (hash, receiver, owner) VALUES (@hash, @receiver, @owner);

-- name: InboxTokenOwner :one
SELECT t.owner FROM /* TEMPLATE: schema */inbox_token t WHERE t.hash = @hash AND t.receiver = @receiver;

-- name: RevokeInboxTokens :execrows
DELETE FROM /* TEMPLATE: schema */inbox_token t WHERE t.receiver = @receiver AND t.owner = @owner;
