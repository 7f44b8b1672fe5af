-- job_expand is the job that begins the expansion of an intent.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_expand(intent uuid, share text, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz,
    tags varchar[])
LANGUAGE sql STABLE
AS $$
    SELECT j.* FROM /* TEMPLATE: schema */job('riverhook_expand', 'expand', jsonb_build_object('intent_id', intent), share, due) j
$$;
