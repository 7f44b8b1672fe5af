-- name: AddInboxEvent :execrows
-- AddInboxEvent stores an event unless the sender's id is known. It waits for a
-- transaction that is about to store the same one.
INSERT INTO /* TEMPLATE: schema */inbox_event (id, receiver, owner, delivery_id, content_type, header, body, job_id)
VALUES (@id, @receiver, @owner, nullif(sqlc.arg(delivery_id)::text, ''), @content_type, @header, @body, @job_id)
ON CONFLICT (receiver, owner, delivery_id) DO NOTHING;

-- name: InboxEventOfDelivery :one
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e
WHERE e.receiver = @receiver AND e.owner = @owner AND e.delivery_id = sqlc.arg(delivery_id)::text;

-- name: InboxStatus :one
SELECT e.state, e.attempt, e.message, e.error, e.response_status, e.response_content_type, e.response_body
FROM /* TEMPLATE: schema */inbox_event e
WHERE e.id = @id AND e.receiver = @receiver AND e.owner = @owner;

-- name: PendingInboxEvent :one
SELECT e.id, e.receiver, e.owner, coalesce(e.delivery_id, '') AS delivery_id, e.content_type, e.header, e.body, e.attempt, e.job_id,
    e.received_at
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
UPDATE /* TEMPLATE: schema */inbox_event e SET
    error = @error,
    state = CASE WHEN sqlc.arg(final)::boolean THEN 'failed' ELSE e.state END,
    ended_at = CASE WHEN sqlc.arg(final)::boolean THEN now() END
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt;

-- name: ReportInboxProgress :execrows
UPDATE /* TEMPLATE: schema */inbox_event e SET message = @message
WHERE e.id = @id AND e.state = 'pending' AND e.attempt = @attempt;

-- name: SetInboxJob :execrows
UPDATE /* TEMPLATE: schema */inbox_event e SET job_id = @job_id
WHERE e.id = @id AND e.state = 'pending';

-- name: DeleteInboxEvent :one
-- DeleteInboxEvent ends an event and purges what it carried. The row remains, to
-- know the sender's id.
UPDATE /* TEMPLATE: schema */inbox_event e SET
    state = 'gone', content_type = '', header = '{}', body = NULL, message = '', error = '',
    response_status = 0, response_content_type = '', response_body = NULL, ended_at = now()
WHERE e.id = @id AND e.receiver = @receiver AND e.owner = @owner
RETURNING e.job_id;

-- name: InboxEventsWithoutJob :many
-- InboxEventsWithoutJob finds pending events whose River job was deleted,
-- discarded or cancelled by hand.
SELECT e.id FROM /* TEMPLATE: schema */inbox_event e
WHERE e.state = 'pending'
    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */river_job j WHERE j.id = e.job_id AND j.finalized_at IS NULL)
LIMIT 100
FOR UPDATE SKIP LOCKED;

-- name: PruneInbox :execrows
-- PruneInbox forgets events that ended long ago, and with them their delivery ids.
DELETE FROM /* TEMPLATE: schema */inbox_event e
WHERE e.id IN (
    SELECT o.id FROM /* TEMPLATE: schema */inbox_event o
    WHERE o.ended_at < now() - sqlc.arg(retention_ms)::bigint * interval '1 millisecond'
    ORDER BY o.ended_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED);

-- name: AddInboxToken :exec
INSERT INTO /* TEMPLATE: schema */inbox_token (hash, receiver, owner) VALUES (@hash, @receiver, @owner);

-- name: InboxTokenOwner :one
SELECT t.owner FROM /* TEMPLATE: schema */inbox_token t WHERE t.hash = @hash AND t.receiver = @receiver;

-- name: RevokeInboxTokens :execrows
DELETE FROM /* TEMPLATE: schema */inbox_token t WHERE t.receiver = @receiver AND t.owner = @owner;
