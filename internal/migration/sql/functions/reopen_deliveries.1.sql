-- reopen_deliveries opens a new round of each of the deliveries that has ended, and
-- returns their ids. One of an earlier epoch has ended, though it says so only when
-- its turn comes. A paused subscription holds the new round at once. The caller has
-- locked the deliveries, and keeps their messages.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */reopen_deliveries(deliveries uuid[], at_once boolean) RETURNS SETOF uuid
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RETURN QUERY
    WITH opened AS (
        UPDATE /* TEMPLATE: schema */delivery d SET
            attempt_seq = d.attempt_seq + 1, state = 'pending', round = d.round + 1, attempts = 0, interrupted = 0,
            manual = true, at_once = reopen_deliveries.at_once, epoch = s.epoch, reason = '', ended_at = NULL, ended_runs = NULL, retry_at = NULL,
            due_at = CASE WHEN s.state <> 'paused' THEN now() END,
            hold = CASE WHEN s.state = 'paused' THEN 'paused' ELSE '' END,
            held_since = CASE WHEN s.state = 'paused' THEN now() END,
            job_id = CASE WHEN s.state <> 'paused' THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) END
        FROM /* TEMPLATE: schema */subscription s
        WHERE d.id = ANY (deliveries) AND s.id = d.subscription_id AND (d.state <> 'pending' OR d.epoch < s.epoch)
        RETURNING d.id, d.intent_id, d.job_id, d.due_at
    ), job AS (
        INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
        SELECT o.job_id, j.*
        FROM opened o
        LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = o.intent_id OFFSET 0) i ON true
        CROSS JOIN LATERAL /* TEMPLATE: schema */job_deliver(o.id, i.share, o.due_at) j
        WHERE o.job_id IS NOT NULL
    )
    SELECT o.id FROM opened o;
END
$$;
