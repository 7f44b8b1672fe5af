-- name: GetStats :one
-- GetStats counts what is under way, by the partial indexes of what is pending.
SELECT
    d.due, d.scheduled, d.oldest_ms,
    h.cause, h.paused, h.circuit, h.rate, h.slots,
    i.pending AS pending_intents, i.oldest_ms AS oldest_intent_ms,
    c.waiting AS waiting_decisions,
    (SELECT count(*) FROM /* TEMPLATE: schema */engine n
     WHERE NOT n.inbox AND n.heartbeat_at > now() - sqlc.arg(alive_ms)::bigint * interval '1 millisecond')::bigint AS engines
FROM (
    SELECT
        count(*) FILTER (WHERE o.due_at <= now()) AS due,
        count(*) FILTER (WHERE o.due_at > now()) AS scheduled,
        greatest(coalesce(floor(extract(epoch FROM now() - min(o.due_at)) * 1000), 0), 0)::bigint AS oldest_ms
    FROM (
        SELECT r.due_at FROM /* TEMPLATE: schema */delivery r WHERE r.due_at IS NOT NULL
        UNION ALL
        SELECT r.created_at
        FROM /* TEMPLATE: schema */intent_state s JOIN /* TEMPLATE: schema */delivery r ON r.intent_id = s.intent_id
        WHERE s.due_at IS NOT NULL AND r.state = 'pending' AND r.hold = '' AND r.due_at IS NULL
    ) o
) d, (
    SELECT
        count(*) FILTER (WHERE o.hold = 'cause') AS cause,
        count(*) FILTER (WHERE o.hold = 'paused') AS paused,
        count(*) FILTER (WHERE o.hold = 'circuit') AS circuit,
        count(*) FILTER (WHERE o.hold = 'rate') AS rate,
        count(*) FILTER (WHERE o.hold = 'slots') AS slots
    FROM /* TEMPLATE: schema */delivery o
    WHERE o.hold <> ''
) h, (
    SELECT
        count(*) AS pending,
        greatest(coalesce(floor(extract(epoch FROM now() - min(o.due_at)) * 1000), 0), 0)::bigint AS oldest_ms
    FROM /* TEMPLATE: schema */intent_state o
    WHERE o.state = 'pending' AND o.due_at IS NOT NULL
) i, (
    SELECT (
        SELECT count(*) FROM /* TEMPLATE: schema */decision o WHERE o.outcome = 'waiting' AND o.due_at IS NOT NULL
    ) + (
        SELECT count(*) FROM /* TEMPLATE: schema */decision o WHERE o.outcome = 'waiting' AND o.due_at IS NULL
    ) AS waiting
) c;
