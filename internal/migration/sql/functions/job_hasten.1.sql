-- job_hasten makes a River job that waits begin now, and returns true. It does not
-- wait for whoever has the row, and changes no job that runs or has ended.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_hasten(job_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE /* TEMPLATE: schema */river_job j SET state = 'available', scheduled_at = now()
    WHERE j.id = (
        SELECT o.id FROM /* TEMPLATE: schema */river_job o
        WHERE o.id = job_hasten.job_id AND o.state IN ('available', 'retryable', 'scheduled')
        FOR UPDATE SKIP LOCKED);
    RETURN FOUND;
END
$$;
