-- job_deliver is the job of a later attempt of a delivery.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_deliver(delivery uuid, share text, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz,
    tags varchar[])
LANGUAGE sql STABLE
AS $$
    SELECT j.* FROM /* TEMPLATE: schema */job('riverhook_deliver', 'deliver', jsonb_build_object('delivery_id', delivery), share, due) j
$$;
