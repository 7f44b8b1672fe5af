-- event_time reads the clock for one event, in microseconds. Within a transaction each
-- reading is later than the one before, also when the clock is set back: the last one
-- is kept in a setting of the transaction. now() would be the beginning of the
-- transaction, which says nothing about the order in which two transactions
-- changed the same row. Whoever sets the setting by hand gains at most an hour.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */event_time() RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    at bigint := extract(epoch FROM clock_timestamp()) * 1000000;
    last text := current_setting('riverhook.last_event', true);
BEGIN
    IF last <> '' AND last::bigint BETWEEN at AND at + 3600000000 THEN
        at := last::bigint + 1;
    END IF;
    PERFORM set_config('riverhook.last_event', at::text, true);
    RETURN to_timestamp(0) + at * interval '1 microsecond';
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */event_time FROM PUBLIC;
