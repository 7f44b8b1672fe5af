-- name: RecordAttempts :many
-- RecordAttempts moves deliveries on and writes their attempts. The fence of a
-- delivery is its attempt_seq: where it has moved on meanwhile only the attempt
-- is written, since a request did go out, in the place of one that was recorded
-- as interrupted because nobody expected its answer any more. Where the delivery goes on later a
-- River job for it is made. Of an attempt whose delivery was erased meanwhile only
-- the outcome is written, and of one whose delivery was pruned nothing: neither
-- pruning nor erasing would find it. Of one that was delivered it returns whether its
-- subscription is failing, by what others have counted meanwhile.
--
-- A row that another transaction has locked, which can be one of the
-- application, is not waited for: it is returned as busy, and nothing of it was
-- written. So is one that another has changed since this statement began: what is
-- locked then is a version that the statement does not see, and cannot change.
WITH item AS MATERIALIZED (
    -- The attempts, a row each, with the delivery as it is: locked and found by its ctid, or busy.
    -- fits is the fence.
    SELECT i.*, f.row_ctid, f.erased, f.state = 'pending' AND f.attempt_seq = i.seq AS fits,
        f.row_ctid IS NULL AND EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.id = i.id) AS busy
    FROM (SELECT
        unnest(@ids::text[])::uuid AS id,
        unnest(@seqs::integer[]) AS seq,
        unnest(@states::text[]) AS state,
        unnest(@holds::text[]) AS hold,
        unnest(@causes::text[]) AS cause,
        unnest(@reasons::text[]) AS reason,
        unnest(@attempts::integer[]) AS attempts,
        unnest(@interrupted::integer[]) AS interrupted,
        unnest(@due_ms::bigint[]) * interval '1 millisecond' AS wait,
        unnest(@again::boolean[]) AS again,
        unnest(@stay::boolean[]) AS stay,
        unnest(@access_age_ms::bigint[]) AS access_age_ms,
        unnest(@tried::boolean[]) AS tried,
        unnest(@rounds::integer[]) AS round,
        unnest(@numbers::integer[]) AS number,
        unnest(@manuals::boolean[]) AS manual,
        unnest(@outcomes::text[]) AS outcome,
        unnest(@errors::text[]) AS error,
        unnest(@attempt_reasons::text[]) AS attempt_reason,
        unnest(@methods::text[]) AS method,
        unnest(@reason_phrases::text[]) AS reason_phrase,
        unnest(@statuses::integer[]) AS status,
        unnest(@urls::text[]) AS url,
        unnest(@request_headers::text[]) AS request_headers,
        unnest(@response_headers::text[]) AS response_headers,
        unnest(@response_bodies::bytea[]) AS response_body,
        unnest(@response_hashes::bytea[]) AS response_sha256,
        unnest(@response_truncated::boolean[]) AS response_truncated,
        unnest(@retry_after_ms::bigint[]) AS retry_after_ms,
        unnest(@duration_us::bigint[]) AS duration_us,
        unnest(@repeats::integer[]) AS repeats,
        unnest(@started_at::timestamptz[]) AS started_at
    ) i LEFT JOIN LATERAL (
        SELECT d.ctid AS row_ctid, d.state, d.attempt_seq, d.erased FROM /* TEMPLATE: schema */delivery d
        WHERE d.id = i.id
        FOR UPDATE SKIP LOCKED
    ) f ON true
), moved AS (
    -- The deliveries that are where their attempt has found them go on.
    UPDATE /* TEMPLATE: schema */delivery d SET
        state = i.state,
        hold = i.hold,
        held_since = CASE
            WHEN i.state = 'pending' AND NOT i.tried THEN coalesce(d.held_since, CASE WHEN i.hold <> '' THEN now() END)
            WHEN i.hold <> '' THEN now()
        END,
        cause = CASE WHEN i.cause = '' THEN d.cause ELSE i.cause END,
        cause_share = CASE WHEN i.cause = '' THEN d.cause_share
            ELSE coalesce((SELECT n.share FROM /* TEMPLATE: schema */intent n WHERE n.id = d.intent_id), '/') END,
        probes = CASE WHEN i.cause = '' THEN d.probes WHEN d.cause = i.cause AND d.held_since IS NOT NULL THEN d.probes + 1 ELSE 0 END,
        retry_at = CASE WHEN i.hold = 'circuit' AND i.attempts > 0 THEN coalesce(d.retry_at, d.due_at, now()) END,
        reason = i.reason,
        attempt_seq = d.attempt_seq + 1,
        attempts = i.attempts,
        interrupted = i.interrupted,
        manual = d.manual AND i.attempts = 0,
        at_once = d.at_once AND NOT i.tried,
        job_id = CASE
            WHEN i.stay THEN d.job_id
            WHEN i.again THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass)
        END,
        due_at = CASE WHEN i.stay THEN d.due_at WHEN i.again THEN now() + i.wait END,
        access_at = CASE WHEN i.access_age_ms >= 0 THEN now() - i.access_age_ms * interval '1 millisecond' ELSE d.access_at END,
        last_status = CASE WHEN i.tried THEN i.status ELSE d.last_status END,
        last_outcome = CASE WHEN i.tried THEN i.outcome ELSE d.last_outcome END,
        ended_at = CASE WHEN i.state <> 'pending' THEN now() END,
        ended_runs = CASE
            WHEN i.stay THEN jsonb_set(coalesce(d.ended_runs, '{}'), '{unsent}', 'true')
            WHEN NOT i.tried OR i.outcome = 'interrupted' THEN d.ended_runs
        END
    FROM item i
    WHERE d.ctid = i.row_ctid AND i.fits
    RETURNING d.id, d.intent_id, d.subscription_id, d.epoch, d.state, i.seq, d.job_id, d.due_at, i.again
), job AS (
    -- The jobs of those that have a next attempt at a time of its own.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, i.share, m.due_at) j
    WHERE m.again
), attempts AS (
    -- The requests that went out, whether their delivery was moved or not, but for those of which
    -- nothing is to be written.
    INSERT INTO /* TEMPLATE: schema */attempt AS a (
        delivery_id, seq, round, number, manual, outcome, error, reason, method, status, reason_phrase, url, request_headers, response_headers,
        response_body, response_sha256, response_truncated, retry_after_ms, duration_us, repeats, engine, started_at)
    SELECT
        i.id, i.seq, i.round, i.number, i.manual, i.outcome, CASE WHEN i.erased THEN split_part(i.error, ':', 1) ELSE i.error END,
        i.attempt_reason, i.method, i.status, CASE WHEN i.erased THEN '' ELSE i.reason_phrase END, i.url,
        CASE WHEN i.erased THEN '{}' ELSE i.request_headers END::jsonb,
        CASE WHEN i.erased THEN '{}' ELSE i.response_headers END::jsonb, CASE WHEN i.erased IS NOT TRUE THEN i.response_body END,
        CASE WHEN i.erased IS NOT TRUE THEN i.response_sha256 END, i.response_truncated, i.retry_after_ms, i.duration_us,
        i.repeats, @engine::text, i.started_at
    FROM item i
    WHERE i.tried AND i.row_ctid IS NOT NULL AND (NOT i.fits OR (i.id, i.seq) IN (SELECT m.id, m.seq FROM moved m))
    ON CONFLICT (delivery_id, seq) DO UPDATE SET
        outcome = excluded.outcome, error = excluded.error, reason = excluded.reason, method = excluded.method,
        status = excluded.status, reason_phrase = excluded.reason_phrase, url = excluded.url,
        request_headers = excluded.request_headers, response_headers = excluded.response_headers,
        response_body = excluded.response_body, response_sha256 = excluded.response_sha256, response_truncated = excluded.response_truncated,
        retry_after_ms = excluded.retry_after_ms, duration_us = excluded.duration_us, repeats = excluded.repeats,
        engine = excluded.engine, started_at = excluded.started_at
    WHERE a.outcome = 'interrupted'
)
SELECT m.id, m.seq::integer AS seq, false AS busy,
    (m.state = 'delivered' AND EXISTS (
        SELECT FROM /* TEMPLATE: schema */subscription_health h
        WHERE h.subscription_id = m.subscription_id AND h.epoch = m.epoch AND h.failing_since IS NOT NULL))::boolean AS failing
FROM moved m
UNION ALL
SELECT i.id, i.seq::integer AS seq, true AS busy, false AS failing FROM item i
WHERE i.busy OR i.fits AND (i.id, i.seq) NOT IN (SELECT m.id, m.seq FROM moved m);
