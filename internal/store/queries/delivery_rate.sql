-- name: ReleaseByRate :many
-- ReleaseByRate lets the oldest held deliveries of subscriptions go on that are active and whose
-- circuit is closed: one for each time that it is told, from now, at that time, and says so.
WITH room AS MATERIALIZED (
    SELECT k.subscription_id, array_agg(k.due_us ORDER BY k.due_us) AS due_us
    FROM (SELECT unnest(@subscriptions::text[])::uuid AS subscription_id, unnest(@due_us::bigint[]) AS due_us) k
    JOIN /* TEMPLATE: schema */subscription s ON s.id = k.subscription_id AND s.state = 'active' AND s.deleted_at IS NULL
    GROUP BY k.subscription_id
), freed AS (
    SELECT n.id, n.attempt_seq, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id,
        now() + n.due_us[n.number] * interval '1 microsecond' AS due_at
    FROM (SELECT
        d.id, d.attempt_seq, k.due_us, row_number() OVER (PARTITION BY k.subscription_id ORDER BY d.intent_id) AS number
    FROM room k
    CROSS JOIN LATERAL (
        SELECT o.id, o.intent_id, o.attempt_seq FROM /* TEMPLATE: schema */delivery o
        WHERE o.subscription_id = k.subscription_id AND o.state = 'pending' AND o.hold NOT IN ('', 'cause')
            AND NOT EXISTS (
                SELECT FROM /* TEMPLATE: schema */subscription_circuit c
                WHERE c.subscription_id = k.subscription_id AND (c.circuit_opened > 0 OR c.asked_until IS NOT NULL) AND c.epoch = (
                    SELECT s.epoch FROM /* TEMPLATE: schema */subscription s WHERE s.id = k.subscription_id))
        ORDER BY o.intent_id
        LIMIT cardinality(k.due_us)
        FOR UPDATE SKIP LOCKED
    ) d) n
), moved AS (
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, hold = '', due_at = f.due_at, reason = 'it goes out at the time that its rate has for it', job_id = f.job_id
    FROM freed f
    WHERE d.id = f.id AND d.state = 'pending' AND d.attempt_seq = f.attempt_seq
    RETURNING d.id, d.intent_id, d.subscription_id, d.job_id, d.due_at
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(m.id, i.share, m.due_at) j
)
SELECT m.subscription_id, count(*)::integer AS released,
    pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "deliver"}')::text AS notified
FROM moved m GROUP BY m.subscription_id;
