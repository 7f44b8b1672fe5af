-- rate_step is one step of the generic cell rate algorithm: what somebody gets who wants so many
-- requests, of a rate that lets one go out every so many microseconds and up to burst at once, and
-- of which all are taken for so long from now. So long ahead may be taken before their time. It
-- returns how many are granted, in how many microseconds the first of them may go out (or, with
-- none, the next), and for how long from now all are taken then. A rate that is taken for longer
-- than it can be was another before: nothing is left of it, and no more than that. Postgres puts
-- its body in the place of a call.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */rate_step(taken_us bigint, every_us bigint, burst integer, ahead_us bigint, wanted integer)
RETURNS bigint[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT ARRAY[g.granted, b.base_us + every_us - burst * every_us, b.base_us + g.granted * every_us]
    FROM (
        SELECT least(greatest(taken_us, 0), burst * every_us + ahead_us) AS base_us
    ) b CROSS JOIN LATERAL (
        SELECT least(wanted, greatest((ahead_us + burst * every_us - b.base_us) / every_us, 0)) AS granted
    ) g
$$;
