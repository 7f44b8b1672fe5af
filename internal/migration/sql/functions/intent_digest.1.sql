-- What tells whether an intent that has an id already is the same one. Stable, as
-- convert_to is, so that Postgres can inline it.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */intent_digest(type text, site text, resource_kind text, resource_id text, data text) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT sha256(
        convert_to(type, 'UTF8') || decode('00', 'hex') || convert_to(site, 'UTF8') || decode('00', 'hex')
        || convert_to(resource_kind, 'UTF8') || decode('00', 'hex') || convert_to(resource_id, 'UTF8') || decode('00', 'hex') || convert_to(data, 'UTF8'))
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */intent_digest FROM PUBLIC;
