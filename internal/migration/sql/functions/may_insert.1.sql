-- may_insert says whether the role of the session may insert intents without any function, so
-- that checks would not hold it back. It is the role that has logged in: one that was set
-- since can be reset by whoever it would hold back. Postgres puts its body in the place of a call.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */may_insert() RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT has_table_privilege(session_user, '/* TEMPLATE: schema */intent'::regclass, 'INSERT')
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */may_insert FROM PUBLIC;
