-- erase removes the payloads of a resource: data and attributes of its intents,
-- messages, what attempts have sent and were answered, and the words of host code in
-- reasons. The rows stay, to say what has happened. What is pending of it is cancelled. It returns how many
-- intents, messages, deliveries that were pending and attempts it has changed;
-- refused says why it has done nothing.
--
-- Each statement must see what others have committed meanwhile: what an engine
-- was writing is waited for, by the row of the intent's state or of the delivery,
-- and then seen by the next statement.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */erase(
    resource_kind text, resource_id text, client integer DEFAULT NULL,
    OUT refused text, OUT intents integer, OUT messages integer, OUT deliveries integer, OUT attempts integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ids uuid[];
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;
    IF coalesce(erase.resource_kind, '') = '' OR coalesce(erase.resource_id, '') = '' THEN
        refused := 'resource';
        RETURN;
    ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
        refused := 'isolation';
        RETURN;
    END IF;

    -- No question about it is just being recorded, and those that are recorded later
    -- know. The transaction's own clock may be from long before.
    PERFORM pg_advisory_xact_lock(hashtextextended('/* TEMPLATE: schema_name */ erase ' || erase.resource_kind || ' ' || erase.resource_id, 0));
    INSERT INTO /* TEMPLATE: schema */erasure AS e (resource, erased_at)
    VALUES (sha256(convert_to(erase.resource_kind, 'UTF8') || decode('00', 'hex') || convert_to(erase.resource_id, 'UTF8')), clock_timestamp())
    ON CONFLICT (resource) DO UPDATE SET erased_at = excluded.erased_at;

    -- Intents before their states, as whoever runs one again.
    SELECT array_agg(l.id) INTO ids FROM (
        SELECT i.id FROM /* TEMPLATE: schema */intent i
        WHERE i.resource_kind = erase.resource_kind AND i.resource_kind <> '' AND i.resource_id = erase.resource_id
            AND i.gone IS DISTINCT FROM 'erased'
        ORDER BY i.id
        FOR UPDATE) l;
    PERFORM FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (ids) ORDER BY s.intent_id FOR UPDATE;
    UPDATE /* TEMPLATE: schema */intent_state s SET keep = NULL, keep_at = NULL WHERE s.intent_id = ANY (ids) AND s.keep IS NOT NULL;
    UPDATE /* TEMPLATE: schema */intent_state s SET state = 'cancelled', reason = 'erased', ended_at = now()
    WHERE s.intent_id = ANY (ids) AND s.state = 'pending';
    UPDATE /* TEMPLATE: schema */decision c SET outcome = 'gone', reason = 'erased', job_id = NULL, decided_at = now()
    WHERE c.intent_id = ANY (ids) AND c.outcome = 'waiting';
    -- Behind what Riverhook says of a decision are words of host code.
    UPDATE /* TEMPLATE: schema */decision c SET reason = split_part(c.reason, ': ', 1)
    WHERE c.intent_id = ANY (ids) AND c.outcome <> 'inactive';

    PERFORM FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = ANY (ids) ORDER BY d.id FOR UPDATE;
    UPDATE /* TEMPLATE: schema */delivery d SET
        attempt_seq = d.attempt_seq + 1, state = 'cancelled', reason = 'erased', hold = '', held_since = NULL, job_id = NULL,
        due_at = NULL, ended_at = now(), erased = true
    WHERE d.intent_id = ANY (ids) AND d.state = 'pending';
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    -- The reason of a veto is of the receiver's making, what a checker has said of host code's.
    UPDATE /* TEMPLATE: schema */delivery d SET erased = true, reason = CASE
            WHEN d.last_outcome = 'vetoed' THEN ''
            WHEN starts_with(d.reason, 'access denied: ') OR starts_with(d.reason, 'unresolvable: ') THEN split_part(d.reason, ': ', 1)
            ELSE d.reason
        END
    WHERE d.intent_id = ANY (ids) AND NOT d.erased;

    UPDATE /* TEMPLATE: schema */message m SET headers = '{}', body = NULL, body_sha256 = NULL, gone = true WHERE m.intent_id = ANY (ids);
    GET DIAGNOSTICS messages = ROW_COUNT;
    -- Behind its class the text of an error can be of the receiver's making.
    UPDATE /* TEMPLATE: schema */attempt a SET
        error = split_part(a.error, ':', 1), reason_phrase = '', request_headers = '{}', response_headers = '{}', response_body = NULL, response_sha256 = NULL
    FROM /* TEMPLATE: schema */delivery d
    WHERE d.intent_id = ANY (ids) AND a.delivery_id = d.id;
    GET DIAGNOSTICS attempts = ROW_COUNT;
    UPDATE /* TEMPLATE: schema */intent i SET
        attributes = '{}', data = NULL, data_sha256 = NULL, digest = NULL, gone = 'erased', gone_at = now()
    WHERE i.id = ANY (ids);
    GET DIAGNOSTICS intents = ROW_COUNT;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */erase FROM PUBLIC;
