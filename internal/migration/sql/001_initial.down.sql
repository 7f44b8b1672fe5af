DROP FUNCTION /* TEMPLATE: schema */erase(text, text, integer);
DROP FUNCTION /* TEMPLATE: schema */enqueue(text, json, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, boolean, integer, boolean);
DROP FUNCTION /* TEMPLATE: schema */enqueue_batch(json, integer, integer, boolean);
DROP FUNCTION /* TEMPLATE: schema */enqueue_one(text, text, text, text, text, text, text, text, jsonb, integer, text, timestamptz, timestamptz, integer, integer, boolean);
DROP FUNCTION /* TEMPLATE: schema */intent_digest(text, text, text, text, text);
DROP FUNCTION /* TEMPLATE: schema */intent_problem(text, text, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, integer);
DROP FUNCTION /* TEMPLATE: schema */nested_too_deep(text);
DROP FUNCTION /* TEMPLATE: schema */refuse_client(integer);
DROP TRIGGER migrated ON /* TEMPLATE: schema */migration;
DROP FUNCTION /* TEMPLATE: schema */migrated();
DROP FUNCTION /* TEMPLATE: schema */accepts_client(integer);
DROP FUNCTION /* TEMPLATE: schema */new_id(timestamptz);
DROP FUNCTION /* TEMPLATE: schema */event_time();
DROP FUNCTION /* TEMPLATE: schema */site_chain(text, bigint);

DROP VIEW /* TEMPLATE: schema */subscription_circuit;

DROP TABLE
    /* TEMPLATE: schema */engine,
    /* TEMPLATE: schema */inbox_token,
    /* TEMPLATE: schema */inbox_progress,
    /* TEMPLATE: schema */inbox_event,
    /* TEMPLATE: schema */attempt,
    /* TEMPLATE: schema */delivery,
    /* TEMPLATE: schema */erasure,
    /* TEMPLATE: schema */decision,
    /* TEMPLATE: schema */message,
    /* TEMPLATE: schema */intent_state,
    /* TEMPLATE: schema */intent,
    /* TEMPLATE: schema */challenged_host,
    /* TEMPLATE: schema */endpoint_challenge,
    /* TEMPLATE: schema */endpoint_auth,
    /* TEMPLATE: schema */secret,
    /* TEMPLATE: schema */subscription_health,
    /* TEMPLATE: schema */subscription_gate,
    /* TEMPLATE: schema */subscription,
    /* TEMPLATE: schema */event_schema,
    /* TEMPLATE: schema */event_type,
    /* TEMPLATE: schema */site_alias,
    /* TEMPLATE: schema */site,
    /* TEMPLATE: schema */migration;

DROP SEQUENCE /* TEMPLATE: schema */site_change_seq;
