-- name: Resolve :many
-- Resolve finds the subscriptions that apply to each of many lookups. Each site
-- of a lookup is one walk along subscription_site_idx, in the order of ids and
-- no further than the lookup's limit; what is unrecorded leaves out the subscriptions
-- for which something was recorded of the intent. Sites and patterns are lists separated by
-- spaces, which neither can hold. A prefix is what the patterns of questions begin
-- with; those of umbrella types are stored without. Types that are
-- Riverhook's own are for the operator.
WITH lookup AS (
    -- The lookups, a row each.
    SELECT
        unnest(@ords::integer[]) AS ord,
        unnest(@types::text[]) AS type,
        unnest(@prefixes::text[]) AS prefix,
        unnest(@sites::text[]) AS sites,
        unnest(@patterns::text[]) AS patterns,
        unnest(@channels::text[]) AS channel,
        unnest(@intent_ids::text[]) AS intent_id,
        unnest(@unrecorded::boolean[]) AS unrecorded,
        unnest(@afters::text[]) AS after,
        unnest(@limits::integer[]) AS max
), ready AS MATERIALIZED (
    -- With their lists taken apart, and the patterns of umbrella types.
    SELECT
        l.ord, string_to_array(l.sites, ' ') AS sites, l.channel, l.intent_id::uuid AS intent_id, l.unrecorded,
        starts_with(l.type, 'riverhook.') AS reserved, l.after::uuid AS after, l.max,
        string_to_array(l.patterns, ' ') || ARRAY(
            SELECT l.prefix || u.pattern FROM /* TEMPLATE: schema */event_type e, unnest(e.umbrella_patterns) AS u (pattern)
            WHERE e.name = l.type) AS patterns
    FROM lookup l
)
SELECT
    r.ord::integer AS ord,
    (SELECT p FROM unnest(m.events) AS p WHERE p = ANY(r.patterns) LIMIT 1)::text AS pattern,
    m.id, m.name, m.description, m.site, m.url, m.events, m.channels, m.filter, m.owner, m.operator, m.permission, m.dialect,
    m.headers, m.schedule, m.timeout_ms, m.fail_closed, m.max_in_flight, m.rate_events, m.rate_per_ms, m.rate_burst, m.credentials_version, m.url_version, m.metadata, m.state, m.state_reason, m.state_since,
    m.epoch, m.created_at, m.updated_at, m.deleted_at
FROM ready r
CROSS JOIN LATERAL (
    SELECT s.*
    FROM unnest(r.sites) AS c (site)
    CROSS JOIN LATERAL (
        SELECT o.* FROM /* TEMPLATE: schema */subscription o
        WHERE o.site = c.site AND o.deleted_at IS NULL AND NOT o.stranded AND o.id > r.after
            AND (NOT r.unrecorded
                OR NOT EXISTS (SELECT FROM /* TEMPLATE: schema */delivery d WHERE d.intent_id = r.intent_id AND d.subscription_id = o.id)
                    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */decision d WHERE d.intent_id = r.intent_id AND d.subscription_id = o.id))
            AND o.events && r.patterns
            AND (o.operator OR NOT r.reserved)
            AND (o.channels = '{}' OR r.channel = ANY(o.channels))
        ORDER BY o.id
        LIMIT r.max
    ) s
    ORDER BY s.id
    LIMIT r.max
) m
ORDER BY r.ord, m.id;
