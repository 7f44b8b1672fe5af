-- job_receive is the job that processes an event of a receiver.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_receive(event uuid, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz,
    tags varchar[])
LANGUAGE sql STABLE
AS $$
    SELECT j.* FROM /* TEMPLATE: schema */job('riverhook_receive', 'inbox', jsonb_build_object('event_id', event), NULL, due) j
$$;
