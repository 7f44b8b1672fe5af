-- job_chunk is the job that goes on with the expansion of an intent after a subscription.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */job_chunk(intent uuid, after uuid, share text, due timestamptz)
RETURNS TABLE (
    args jsonb, kind text, max_attempts smallint, queue text, state /* TEMPLATE: schema */river_job_state, scheduled_at timestamptz,
    tags varchar[])
LANGUAGE sql STABLE
AS $$
    SELECT j.* FROM /* TEMPLATE: schema */job('riverhook_chunk', 'chunk', jsonb_build_object('intent_id', intent, 'after_id', after), share, due) j
$$;
