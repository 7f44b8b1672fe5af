-- enqueue_one writes an intent and the River job that expands it, and returns
-- one row: inserted or duplicate; or invalid with the field and the reason, or
-- conflict, and then nothing was written and the transaction can go on. Only id,
-- occurred_at, not_before and share can be null. Statements of single rows, whose plans
-- are kept, cost a third of those that serve a hundred: that is enqueue_batch.
--
-- checked says that the caller has judged the intent by the rules of intent_problem, as the
-- Go client has. It is believed of a role that may insert intents without this function.
--
-- Both run with their owner's rights: a role that may execute them can enqueue
-- and do nothing else.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */enqueue_one(
    id text, type text, site text, active_site text, resource_kind text, resource_id text, actor text, channel text,
    attributes jsonb, schema_version integer, data text, occurred_at timestamptz, not_before timestamptz,
    share text, client integer, max_bytes integer, checked boolean, notify boolean,
    OUT wire_id text, OUT outcome text, OUT field text, OUT reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at timestamptz; key uuid; job bigint; problem text; due timestamptz;
BEGIN
    IF NOT /* TEMPLATE: schema */accepts_client(client) THEN
        PERFORM /* TEMPLATE: schema */refuse_client(client);
    END IF;

    IF (checked AND /* TEMPLATE: schema */may_insert()) IS NOT TRUE THEN
        problem := /* TEMPLATE: schema */intent_problem(
            id, type, site, active_site, resource_kind, resource_id, actor, channel, attributes, data, occurred_at, not_before,
            share, max_bytes);
        IF problem IS NOT NULL THEN
            outcome := 'invalid';
            field := split_part(problem, ': ', 1);
            reason := substr(problem, strpos(problem, ': ') + 2);
            RETURN;
        END IF;
    END IF;

    at := /* TEMPLATE: schema */event_time();
    key := /* TEMPLATE: schema */new_id(at);
    wire_id := coalesce(id, key::text);
    outcome := 'inserted';
    share := coalesce(share, /* TEMPLATE: schema */site_share(site));
    INSERT INTO /* TEMPLATE: schema */intent (
        id, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
        attributes, schema_version, tree_version, data, digest, occurred_at, not_before, share)
    VALUES (
        key, wire_id, type, site, active_site, resource_kind, resource_id, actor, channel,
        attributes, schema_version, (SELECT coalesce(max(a.ended), 0) + 1 FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807),
        convert_to(data, 'UTF8'), /* TEMPLATE: schema */intent_digest(type, site, resource_kind, resource_id, data),
        coalesce(occurred_at, at), not_before, share)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := CASE
            WHEN EXISTS (
                SELECT FROM /* TEMPLATE: schema */intent e
                WHERE e.wire_id = enqueue_one.wire_id
                AND e.digest <> /* TEMPLATE: schema */intent_digest(type, site, resource_kind, resource_id, data))
            THEN 'conflict' ELSE 'duplicate'
        END;
        RETURN;
    END IF;

    due := greatest(now(), not_before);
    INSERT INTO /* TEMPLATE: schema */river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT j.* FROM /* TEMPLATE: schema */job_expand(key, share, due) j
    RETURNING river_job.id INTO job;
    INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at) VALUES (key, job, due);

    IF notify AND due <= now() THEN
        PERFORM pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}');
    END IF;
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */enqueue_one FROM PUBLIC;
