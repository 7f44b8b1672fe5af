-- job_lost says of the River job of what is due whether it does not do its part: it
-- is gone or at its end, it waits for River's scheduler though it was due late_ms
-- ago, or it is to begin in more than early_ms, later than any of ours that waits,
-- since a clock was wrong. Postgres puts its body in the place of a call.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_lost(
    id bigint, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz, late_ms bigint, early_ms bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT id IS NULL OR state IN ('cancelled', 'completed', 'discarded')
        OR state IN ('retryable', 'scheduled') AND scheduled_at < now() - late_ms * interval '1 millisecond'
        OR state <> 'running' AND scheduled_at > now() + early_ms * interval '1 millisecond'
$$;
