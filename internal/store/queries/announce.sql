-- name: Announce :exec
-- Announce writes events of Riverhook's own as intents, each at the site of the
-- subscription that it is about, as far as a subscription of the operator's could
-- hear of it.
WITH event AS MATERIALIZED (
    SELECT x.id, x.type, s.site, x.kind, x.resource, x.data,
        nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id
    FROM (SELECT
        unnest(@ids::text[])::uuid AS id,
        unnest(@types::text[]) AS type,
        unnest(@patterns::text[]) AS patterns,
        unnest(@subscriptions::text[])::uuid AS subscription_id,
        unnest(@kinds::text[]) AS kind,
        unnest(@resources::text[]) AS resource,
        unnest(@data::text[]) AS data
    ) x JOIN /* TEMPLATE: schema */subscription s ON s.id = x.subscription_id
    WHERE EXISTS (
        SELECT FROM /* TEMPLATE: schema */subscription o
        WHERE o.hears_operations AND o.deleted_at IS NULL AND o.state <> 'deactivated' AND o.events && string_to_array(x.patterns, ' '))
), intent AS (
    INSERT INTO /* TEMPLATE: schema */intent (id, wire_id, type, site, resource_kind, resource_id, tree_version, data, digest, occurred_at, share)
    SELECT e.id, e.id::text, e.type, e.site, e.kind, e.resource, (SELECT coalesce(max(a.ended), 0) + 1 FROM /* TEMPLATE: schema */site_alias a WHERE a.ended < 9223372036854775807),
        convert_to(e.data, 'UTF8'),
        sha256(convert_to(e.type, 'UTF8') || decode('00', 'hex') || convert_to(e.site, 'UTF8') || decode('00', 'hex')
            || convert_to(e.kind, 'UTF8') || decode('00', 'hex') || convert_to(e.resource, 'UTF8') || decode('00', 'hex') || convert_to(e.data, 'UTF8')),
        now(), /* TEMPLATE: schema */site_share(e.site)
    FROM event e
), state AS (
    INSERT INTO /* TEMPLATE: schema */intent_state (intent_id, job_id, due_at)
    SELECT e.id, e.job_id, now() FROM event e
), job AS (
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT e.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM event e CROSS JOIN LATERAL /* TEMPLATE: schema */job_expand(e.id, /* TEMPLATE: schema */site_share(e.site), now()) j
)
SELECT pg_notify('/* TEMPLATE: schema_name */.river_insert', '{"queue": "expand"}') FROM event e LIMIT 1;
