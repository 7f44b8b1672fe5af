-- name: MarkExpansion :execrows
-- MarkExpansion writes down in which step the run of an expansion is, and how many of
-- each step have ended their process; or, with '', that there is nothing to be said of
-- it. No row means that the expansion has moved on or that another transaction has
-- locked it. What is written has to outlive the process, not the database: the commit
-- waits for no disk. The same is true of the next two statements.
WITH soon AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
), picked AS MATERIALIZED (
    SELECT o.intent_id FROM /* TEMPLATE: schema */intent_state o, soon
    WHERE o.intent_id = @intent_id AND o.state = 'pending' AND o.after = @after AND soon.setting = 'off'
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE /* TEMPLATE: schema */intent_state s SET ended_runs = nullif(sqlc.arg(ended_runs)::text, '')::jsonb
FROM picked p WHERE s.intent_id = p.intent_id;

-- name: MarkDecision :execrows
-- MarkDecision does the same for the decisions that wait for one job, at the first of
-- them.
WITH soon AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
), picked AS MATERIALIZED (
    SELECT o.intent_id, o.subscription_id FROM /* TEMPLATE: schema */decision o, soon
    WHERE o.intent_id = @intent_id AND o.subscription_id = @subscription_id AND o.outcome = 'waiting'
        AND o.job_id = @job_id::bigint AND soon.setting = 'off'
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE /* TEMPLATE: schema */decision d SET ended_runs = nullif(sqlc.arg(ended_runs)::text, '')::jsonb
FROM picked p WHERE d.intent_id = p.intent_id AND d.subscription_id = p.subscription_id;

-- name: MarkDelivery :execrows
-- MarkDelivery does the same for an attempt of a delivery.
WITH soon AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
), picked AS MATERIALIZED (
    SELECT o.id FROM /* TEMPLATE: schema */delivery o, soon
    WHERE o.id = @id AND o.state = 'pending' AND o.attempt_seq = @seq AND soon.setting = 'off'
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE /* TEMPLATE: schema */delivery d SET ended_runs = nullif(sqlc.arg(ended_runs)::text, '')::jsonb
FROM picked p WHERE d.id = p.id;
