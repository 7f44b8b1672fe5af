-- enqueue_batch does for any number of intents what enqueue_one does for one:
-- all of them or none. Where all are good it returns a row for each: inserted or
-- duplicate. Otherwise it returns a row for each that is not: invalid or
-- conflict. Intents are inserted in the order of their ids, so that two calls
-- cannot deadlock.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */enqueue_batch(intents json, client integer, max_bytes integer, checked boolean, notify boolean)
RETURNS TABLE (ord integer, id text, outcome text, field text, reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r record; n integer := 0; at timestamptz; problem text; problems text[];
    trusted boolean := checked AND /* TEMPLATE: schema */may_insert();
    i /* TEMPLATE: schema */intent; given /* TEMPLATE: schema */intent[]; fresh uuid[]; due boolean;
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;

    FOR r IN
        SELECT * FROM json_to_recordset(intents) AS (
            id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
            attributes jsonb, schema_version integer, data text, occurred_at timestamptz, not_before timestamptz,
            share text)
    LOOP
        n := n + 1;
        at := /* TEMPLATE: schema */event_time();
        i.id := /* TEMPLATE: schema */new_id(at);
        i.wire_id := coalesce(r.id, i.id::text);
        i.type := r.type;
        i.site := coalesce(nullif(r.site, ''), '/');
        i.active_site := coalesce(r.active_site, '');
        i.resource_kind := coalesce(r.resource_kind, '');
        i.resource_id := coalesce(r.resource_id, '');
        i.actor := coalesce(r.actor, '');
        i.channel := coalesce(r.channel, '');
        i.attributes := coalesce(r.attributes, '{}');
        i.schema_version := coalesce(r.schema_version, 0);
        i.data := convert_to(r.data, 'UTF8');
        i.digest := /* TEMPLATE: schema */intent_digest(i.type, i.site, i.resource_kind, i.resource_id, r.data);
        i.occurred_at := coalesce(r.occurred_at, at);
        i.not_before := r.not_before;
        i.share := coalesce(nullif(r.share, ''), /* TEMPLATE: schema */site_share(i.site));
        given[n] := i;
        CONTINUE WHEN trusted;
        problem := /* TEMPLATE: schema */intent_problem(
            r.id, i.type, i.site, i.active_site, i.resource_kind, i.resource_id, i.actor, i.channel,
            i.attributes, r.data, i.occurred_at, i.not_before, i.share, max_bytes);
        IF problem IS NOT NULL THEN
            problems[n] := problem;
        END IF;
    END LOOP;

    IF problems IS NOT NULL THEN
        RETURN QUERY
        SELECT u.o, NULL::text, 'invalid', split_part(problems[u.o], ': ', 1), substr(problems[u.o], strpos(problems[u.o], ': ') + 2)
        FROM generate_subscripts(problems, 1) AS u (o)
        WHERE problems[u.o] IS NOT NULL;
        RETURN;
    END IF;

    WITH inserted AS (
        -- The intents whose ids are free.
        INSERT INTO /* TEMPLATE: schema */intent (
            id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
            attributes, schema_version, tree_version, data, digest, occurred_at, not_before, share)
        SELECT
            g.id, g.wire_id, g.type, g.site, g.active_site, g.resource_kind, g.resource_id, g.actor, g.channel,
            g.attributes, g.schema_version, (SELECT coalesce(max(a.ended), 0) + 1 FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807),
            g.data, g.digest, g.occurred_at, g.not_before, g.share
        FROM unnest(given) g
        ORDER BY g.wire_id, g.id
        ON CONFLICT (wire_id) DO NOTHING
        RETURNING id, not_before, share
    ), job AS (
        -- A job for each.
        INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)
        SELECT j.*
        FROM inserted w CROSS JOIN LATERAL /* TEMPLATE: schema */job_expand(w.id, w.share, greatest(w.not_before, now())) j
        ORDER BY w.id
        RETURNING id, (args ->> 'intent_id')::uuid AS intent_id, scheduled_at
    ), state AS (
        -- Their states, which name the jobs.
        INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at)
        SELECT j.intent_id, j.id, j.scheduled_at FROM job j
    )
    SELECT array_agg(w.id), bool_or(coalesce(w.not_before, now()) <= now()) INTO fresh, due FROM inserted w;

    IF cardinality(fresh) IS DISTINCT FROM n AND EXISTS (
            SELECT FROM unnest(given) g JOIN /* TEMPLATE: schema */intent e ON e.wire_id = g.wire_id AND e.digest <> g.digest) THEN
        DELETE FROM /* TEMPLATE: schema */river_job j
            USING /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (fresh) AND j.id = s.job_id;
        DELETE FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = ANY (fresh);
        RETURN QUERY
        SELECT g.ordinality::integer, g.wire_id, 'conflict', NULL::text, NULL::text
        FROM unnest(given) WITH ORDINALITY AS g
        JOIN /* TEMPLATE: schema */intent e ON e.wire_id = g.wire_id AND e.digest <> g.digest;
        DELETE FROM /* TEMPLATE: schema */intent e WHERE e.id = ANY (fresh);
        RETURN;
    END IF;

    IF notify AND due THEN
        PERFORM pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}');
    END IF;

    RETURN QUERY
    SELECT g.ordinality::integer, g.wire_id, CASE WHEN w.id IS NULL THEN 'duplicate' ELSE 'inserted' END, NULL::text, NULL::text
    FROM unnest(given) WITH ORDINALITY AS g LEFT JOIN unnest(fresh) AS w (id) ON w.id = g.id;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue_batch FROM PUBLIC;
