DROP VIEW /* TEMPLATE: schema */signing_secret, /* TEMPLATE: schema */subscription_circuit;

DROP TABLE
    /* TEMPLATE: schema */maintenance_lease,
    /* TEMPLATE: schema */engine,
    /* TEMPLATE: schema */inbox_token,
    /* TEMPLATE: schema */inbox_progress,
    /* TEMPLATE: schema */inbox_event,
    /* TEMPLATE: schema */attempt,
    /* TEMPLATE: schema */rate,
    /* TEMPLATE: schema */cause,
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
    /* TEMPLATE: schema */creation_lock,
    /* TEMPLATE: schema */subscription,
    /* TEMPLATE: schema */event_schema,
    /* TEMPLATE: schema */event_type,
    /* TEMPLATE: schema */site_alias,
    /* TEMPLATE: schema */site,
    /* TEMPLATE: schema */migration;

DROP INDEX /* TEMPLATE: schema */river_job_share_idx;
CREATE INDEX river_job_args_index ON /* TEMPLATE: schema */river_job USING gin (args);
CREATE INDEX river_job_metadata_index ON /* TEMPLATE: schema */river_job USING gin (metadata);

DROP SEQUENCE /* TEMPLATE: schema */site_change_seq;
