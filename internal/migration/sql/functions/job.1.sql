-- job is the row of a River job of ours that is due at a time: what River's own client
-- would insert. It is the one place that says how often River may run a job, and
-- which one waits for River's scheduler, which looks every 5 s; River fetches what is available.
-- When something is due is said by its callers: RecordAttempts (queries/delivery_record.sql) for
-- the next attempt of a delivery, others in docs/internals/states.md under "Due". Its share,
-- of which turns are taken, is its tag. River allows letters, digits, "_" and, between them, "-", at least three: a
-- share that has other characters is in its tag in hexadecimal. No two shares have one tag. A job
-- without a share has none.
--
-- Each kind has a function that gives it its queue and its arguments. Postgres puts
-- their bodies in the place of the calls, so that a statement costs what it would
-- with the row written in it. This is so while they are queries without a FROM of
-- tables, and are neither VOLATILE nor SECURITY DEFINER.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job(job_kind text, job_queue text, job_args jsonb, share text, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz,
    tags varchar[])
LANGUAGE sql STABLE
AS $$
    SELECT
        job_args, job_kind, 1000::smallint, job_queue,
        CASE WHEN due > now() + interval '5 seconds' THEN 'scheduled'::/* TEMPLATE: schema */river_job_state ELSE 'available' END, due,
        CASE
            WHEN share IS NULL THEN '{}'
            WHEN share ~ '^[A-Za-z0-9_-]*[A-Za-z0-9_]$' THEN ARRAY['share_' || share]
            ELSE ARRAY['share-' || encode(convert_to(share, 'UTF8'), 'hex')]
        END::varchar[]
$$;
