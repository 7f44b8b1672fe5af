DROP FUNCTION /* TEMPLATE: schema */enqueue(text, json, text, text, text, text, text, text, jsonb, text, timestamptz, timestamptz, boolean);
DROP FUNCTION /* TEMPLATE: schema */enqueue_batch(json, integer, integer, boolean);
DROP FUNCTION /* TEMPLATE: schema */new_id();

DROP TABLE
    /* TEMPLATE: schema */engine,
    /* TEMPLATE: schema */attempt,
    /* TEMPLATE: schema */delivery,
    /* TEMPLATE: schema */decision,
    /* TEMPLATE: schema */message,
    /* TEMPLATE: schema */intent_state,
    /* TEMPLATE: schema */intent,
    /* TEMPLATE: schema */secret,
    /* TEMPLATE: schema */subscription_health,
    /* TEMPLATE: schema */subscription,
    /* TEMPLATE: schema */event_type,
    /* TEMPLATE: schema */site_alias,
    /* TEMPLATE: schema */site,
    /* TEMPLATE: schema */migration;
