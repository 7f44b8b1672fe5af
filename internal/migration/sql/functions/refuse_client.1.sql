CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */refuse_client(client integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    have integer; need integer;
BEGIN
    SELECT coalesce(max(m.version), 0), coalesce(max(coalesce(m.min_client, m.version)), 0) INTO have, need FROM /* TEMPLATE: schema */migration m;
    RAISE EXCEPTION 'riverhook: the schema is at version %, which works with clients from version % on; this client needs version %', have, need, client
    USING ERRCODE = 'RH001';
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */refuse_client FROM PUBLIC;
