-- What is wrong with an intent, as "field: reason", or null. wire_id is null
-- where the database makes the id.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */intent_problem(
    wire_id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
    attributes jsonb, data text, occurred_at timestamptz, not_before timestamptz, share text, max_bytes integer)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    problem text;
BEGIN
    -- Regular expressions with bounds such as {1,64} are slow to match:
    -- lengths are compared apart.
    problem := CASE
        WHEN wire_id !~ '^[A-Za-z0-9_-]+$' OR length(wire_id) > 128
            THEN 'ID: must be 1 to 128 letters, digits, "_" or "-"'
        WHEN type IS NULL OR type !~ '^[a-z0-9_]+([.][a-z0-9_]+){1,7}$' OR length(type) > 128
            THEN 'Type: must be 2 to 8 segments of a-z, 0-9 or "_" joined by ".", at most 128 characters'
        WHEN starts_with(type, 'riverhook.')
            THEN 'Type: must not begin with "riverhook.": such events are Riverhook''s own'
        WHEN site <> '/' AND (
                site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR site ~ '/[.][.]?(/|$)' OR length(site) > 512
                OR length(site) > 64 AND (site ~ '[^/]{65}' OR length(site) - length(replace(site, '/', '')) > 32))
            THEN 'Site: must be "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
        WHEN active_site NOT IN ('', '/') AND (
                active_site !~ '^(/[A-Za-z0-9._~@:+-]+)+$' OR active_site ~ '/[.][.]?(/|$)' OR length(active_site) > 512
                OR length(active_site) > 64 AND (active_site ~ '[^/]{65}' OR length(active_site) - length(replace(active_site, '/', '')) > 32))
            THEN 'ActiveSite: must be empty, "/" or 1 to 32 segments of 1 to 64 letters, digits or "._~@:+-", other than "." and "..", that each begin with "/", at most 512 characters'
        WHEN (resource_kind = '') <> (resource_id = '')
            THEN 'Resource: needs both a kind and an id, or neither'
        WHEN length(resource_kind) > 128
            THEN 'Resource.Kind: must be at most 128 characters'
        WHEN length(resource_id) > 512
            THEN 'Resource.ID: must be at most 512 characters'
        WHEN length(actor) > 512
            THEN 'Actor: must be at most 512 characters'
        WHEN length(channel) > 512
            THEN 'Channel: must be at most 512 characters'
        WHEN jsonb_typeof(attributes) <> 'object'
             OR jsonb_path_exists(attributes, 'strict $.* ? (@.type() != "string")', '{}', true)
            THEN 'Attributes: must be an object whose values are strings'
        WHEN NOT (occurred_at >= '0001-01-01 00:00:00+00' AND occurred_at < '10000-01-01 00:00:00+00')
            THEN 'OccurredAt: must be in the years 1 to 9999'
        WHEN NOT (not_before >= '0001-01-01 00:00:00+00' AND not_before < '10000-01-01 00:00:00+00')
            THEN 'NotBefore: must be in the years 1 to 9999'
        WHEN share <> '/' AND (share !~ '^[A-Za-z0-9._~@:+-]+$' OR length(share) > 64)
            THEN 'Share: must be "/" or 1 to 64 letters, digits or "._~@:+-"'
        WHEN data IS NULL
            THEN 'Data: is missing'
        WHEN octet_length(data) > least(max_bytes, 67108864) -- the most that a client may be configured to allow
            THEN format('Data: has %s bytes; at most %s are allowed', octet_length(data), least(max_bytes, 67108864))
        -- 513 levels have 1026 brackets, half of which open.
        WHEN octet_length(data) > 1025 AND octet_length(data) - octet_length(replace(replace(data, '[', ''), '{', '')) > 512
             AND /* TEMPLATE: schema */nested_too_deep(data)
            THEN 'Data: is nested more than 512 levels deep'
        WHEN data::json IS NULL -- never; text that is not JSON is an error here
            THEN 'Data: is not valid JSON'
    END;
    -- A query is dearer than an expression, even one that is not reached.
    IF problem IS NULL AND octet_length(attributes::text) > 65536 THEN
        IF (SELECT sum(octet_length(a.key) + octet_length(a.value)) FROM jsonb_each_text(attributes) a) > 65536 THEN
            RETURN 'Attributes: must be at most 65536 bytes of keys and values';
        END IF;
    END IF;
    RETURN problem;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */intent_problem FROM PUBLIC;
