-- Whether the schema works with a client that was made for a version of it:
-- what the table migration says, as a constant. To read the table would cost an
-- intent more than to check it.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */accepts_client(client integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN false;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */accepts_client FROM PUBLIC;
