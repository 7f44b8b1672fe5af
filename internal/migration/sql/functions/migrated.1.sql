CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */migrated() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */accepts_client(client integer) RETURNS boolean
        LANGUAGE plpgsql IMMUTABLE
        AS ''BEGIN RETURN client BETWEEN %s AND %s; END''',
        (SELECT coalesce(max(coalesce(m.min_client, m.version)), 0) FROM /* TEMPLATE: schema */migration m),
        (SELECT coalesce(max(m.version), 0) FROM /* TEMPLATE: schema */migration m));
    RETURN NULL;
END
$$;

CREATE TRIGGER migrated AFTER INSERT OR UPDATE OR DELETE ON /* TEMPLATE: schema */migration
    FOR EACH STATEMENT EXECUTE FUNCTION /* TEMPLATE: schema */migrated();

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */migrated FROM PUBLIC;
