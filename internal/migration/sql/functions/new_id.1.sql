-- A version 7 UUID (RFC 9562, section 5.7) of a time by the database's clock, with
-- the fraction of the millisecond in rand_a (section 6.2, method 3): ids are ordered
-- as the events are. It is one expression, which Postgres inlines.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */new_id(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT (
        overlay(left(encode(int8send((extract(epoch FROM at) * 4096000)::bigint << 4), 'hex'), 15) placing '7' FROM 13 FOR 0)
        || right(encode(uuid_send(gen_random_uuid()), 'hex'), 16))::uuid
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */new_id FROM PUBLIC;
