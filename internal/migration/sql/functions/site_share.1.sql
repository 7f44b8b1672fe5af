-- site_share is the share of an event that names none: the first segment of its site, "/" of one
-- at the root. Postgres puts its body in the place of a call.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */site_share(site text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(nullif(split_part(site, '/', 2), ''), '/')
$$;
