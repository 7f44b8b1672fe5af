-- job is the row of a River job of ours that is due at a time: what River's own client
-- would insert. It is the one place that says how often River may run a job, and
-- which one waits for River's scheduler, which looks every 5 s.
--
-- Each kind has a function that gives it its queue and its arguments. Postgres puts
-- their bodies in the place of the calls, so that a statement costs what it would
-- with the row written in it. This is so while they are queries without a FROM of
-- tables, and are neither VOLATILE nor SECURITY DEFINER.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job(job_kind text, job_queue text, job_args jsonb, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz)
LANGUAGE sql STABLE
AS $$
    SELECT
        job_args, job_kind, 1000::smallint, job_queue,
        CASE WHEN due > now() + interval '5 seconds' THEN 'scheduled'::/* TEMPLATE: schema */river_job_state ELSE 'available' END, due
$$;
