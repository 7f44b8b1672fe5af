-- enqueue writes one intent and returns its id. It is for psql, triggers and
-- programs in other languages; the Go client calls enqueue_one and enqueue_batch. What
-- that knows about event types by itself is looked up here, by key: data is checked
-- by no schema, and schema_version is the caller's word that it has done so.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */enqueue(
    type text, data json, site text DEFAULT '/', resource_kind text DEFAULT '', resource_id text DEFAULT '',
    active_site text DEFAULT '', actor text DEFAULT '', channel text DEFAULT '', attributes jsonb DEFAULT '{}',
    id text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL, not_before timestamptz DEFAULT NULL, notify boolean DEFAULT true,
    schema_version integer DEFAULT 0, strict boolean DEFAULT false, share text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record; archived boolean; problem text;
BEGIN
    SELECT t.archived_at IS NOT NULL INTO archived FROM /* TEMPLATE: schema */event_type t WHERE t.name = enqueue.type;
    problem := CASE
        WHEN archived THEN format('Type: "%s" is archived', type)
        WHEN strict AND archived IS NULL THEN format('Type: "%s" is not registered; register it, or leave strict out', left(type, 200))
        WHEN schema_version <> 0 AND NOT EXISTS (
                SELECT FROM /* TEMPLATE: schema */event_schema s WHERE s.type = enqueue.type AND s.version = schema_version)
            THEN format('SchemaVersion: %s is not registered for the type "%s"', schema_version, left(type, 200))
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'riverhook: intent: %', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;

    r := /* TEMPLATE: schema */enqueue_one(
        id, type, coalesce(nullif(site, ''), '/'), coalesce(active_site, ''), coalesce(resource_kind, ''), coalesce(resource_id, ''),
        coalesce(actor, ''), coalesce(channel, ''), coalesce(attributes, '{}'), coalesce(schema_version, 0), data::text, occurred_at, not_before,
        nullif(share, ''), NULL, 262144, false, notify);
    IF r.outcome = 'invalid' THEN
        RAISE EXCEPTION 'riverhook: intent: %: %', r.field, r.reason USING ERRCODE = 'invalid_parameter_value';
    ELSIF r.outcome = 'conflict' THEN
        RAISE EXCEPTION 'riverhook: intent %: the id is taken by an intent with other content', r.wire_id USING ERRCODE = 'unique_violation';
    END IF;
    RETURN r.wire_id;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue FROM PUBLIC;
