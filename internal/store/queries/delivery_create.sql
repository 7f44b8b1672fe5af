-- name: CommitExpansions :many
-- CommitExpansions writes what chunks of expansions decided: their messages,
-- decisions and deliveries. A chunk counts only while its intent is pending
-- and stands where the chunk began; the others return nothing. Nor does one whose
-- intent a transaction of the application is about to erase: it is not waited
-- for, and where that is rolled back the expansion is found lost. One whose sites
-- are not those any more by which it was found, where a site is given, is returned
-- as stale by the id of its intent: it is to be found again. So is one whose intent
-- another has changed since this statement began: what is locked then is a version
-- that the statement does not see, and cannot change.
WITH chunk AS MATERIALIZED (
    -- The chunks, a row each.
    SELECT
        unnest(@intent_ids::text[])::uuid AS intent_id,
        unnest(@afters::text[])::uuid AS after,
        unnest(@next_afters::text[])::uuid AS next_after,
        unnest(@more::boolean[]) AS more,
        unnest(@chains::text[]) AS chain,
        unnest(@sites::text[]) AS site,
        unnest(@active_sites::text[]) AS active_site,
        unnest(@tree_versions::bigint[]) AS tree_version,
        unnest(@carries::boolean[]) AS carries,
        nullif(unnest(@ended_runs::text[]), '')::jsonb AS ended_runs,
        nullif(unnest(@keeps::text[]), '') AS keep,
        unnest(@keep_ms::bigint[]) * interval '1 millisecond' AS keep_for
), proof AS MATERIALIZED (
    -- The sites from each place up, as they are now, for chunks that name one.
    SELECT p.site, p.active_site, p.tree_version,
        (/* TEMPLATE: schema */site_chain(p.site, p.tree_version))[1]
            || CASE WHEN p.active_site = '' THEN '' ELSE (/* TEMPLATE: schema */site_chain(p.active_site, p.tree_version))[1] END AS chain
    FROM (SELECT DISTINCT c.site, c.active_site, c.tree_version FROM chunk c WHERE c.site <> '') p
), stale AS MATERIALIZED (
    -- The chunks that were found by other sites.
    SELECT c.intent_id FROM chunk c JOIN proof p USING (site, active_site, tree_version) WHERE c.chain <> p.chain
), ready AS MATERIALIZED (
    -- The others, if their intent is where the chunk began; its row is locked, and skipped if
    -- somebody has it.
    SELECT c.intent_id, c.next_after, c.more, c.chain, c.carries, c.ended_runs, c.keep, c.keep_for, f.row_ctid
    FROM chunk c CROSS JOIN LATERAL (
        SELECT s.ctid AS row_ctid FROM /* TEMPLATE: schema */intent_state s
        WHERE s.intent_id = c.intent_id AND s.state = 'pending' AND s.after = c.after
        FOR UPDATE SKIP LOCKED
    ) f
    WHERE c.intent_id NOT IN (SELECT t.intent_id FROM stale t)
), moved AS (
    -- The intents go on: to the next chunk, or to the end of their expansion.
    UPDATE /* TEMPLATE: schema */intent_state s SET
        after = c.next_after,
        chain = CASE WHEN c.more THEN c.chain ELSE '' END,
        state = CASE WHEN c.more THEN 'pending' ELSE 'expanded' END,
        ended_at = CASE WHEN NOT c.more THEN now() END,
        job_id = CASE WHEN c.more THEN nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) ELSE s.job_id END,
        due_at = CASE WHEN c.more THEN now() WHEN c.carries THEN s.due_at END,
        reason = '',
        ended_runs = c.ended_runs,
        keep = c.keep,
        keep_at = CASE WHEN c.keep IS NOT NULL THEN now() + c.keep_for END
    FROM ready c
    WHERE s.ctid = c.row_ctid
    RETURNING s.intent_id, s.job_id, s.after, s.state
), chunk_job AS (
    -- The job of the next chunk.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT m.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM moved m
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = m.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_chunk(m.intent_id, m.after, i.share, now()) j WHERE m.state = 'pending'
), messages AS (
    -- The messages of intents that went on. A chunk finds those that an earlier one has made.
    INSERT INTO /* TEMPLATE: schema */message (intent_id, dialect, content_type, headers, body)
    SELECT x.intent_id, x.dialect, x.content_type, x.headers::jsonb, x.body
    FROM (SELECT
        unnest(@message_intents::text[])::uuid AS intent_id,
        unnest(@message_dialects::text[]) AS dialect,
        unnest(@message_types::text[]) AS content_type,
        unnest(@message_headers::text[]) AS headers,
        unnest(@message_bodies::bytea[]) AS body
    ) x JOIN moved m USING (intent_id)
    ON CONFLICT (intent_id, dialect) DO NOTHING
), decision_job AS (
    -- The numbers of the jobs that decide anew, one for what waits equally long of an intent.
    SELECT w.intent_id, nextval('/* TEMPLATE: schema */river_job_id_seq'::regclass) AS job_id, w.wait
    FROM (SELECT
        unnest(@waiting_intents::text[])::uuid AS intent_id,
        unnest(@waiting_ms::bigint[]) * interval '1 millisecond' AS wait
    ) w JOIN moved m USING (intent_id)
), decide_job AS (
    -- Those jobs.
    INSERT INTO /* TEMPLATE: schema */river_job (id, args, kind, max_attempts, queue, state, scheduled_at, tags)
    SELECT w.job_id, j.args, j.kind, j.max_attempts, j.queue, j.state, j.scheduled_at, j.tags
    FROM decision_job w
    LEFT JOIN LATERAL (SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = w.intent_id OFFSET 0) i ON true
    CROSS JOIN LATERAL /* TEMPLATE: schema */job_decide(w.intent_id, i.share, now() + w.wait) j
), decisions AS (
    -- What became of the subscriptions that get no delivery, or not yet. Those that wait for a cause
    -- have no job.
    INSERT INTO /* TEMPLATE: schema */decision (
        intent_id, subscription_id, outcome, reason, matched_site, matched_pattern, tries, job_id, due_at, cause, cause_share, held_since)
    SELECT
        x.intent_id, x.subscription_id, x.outcome, x.reason, x.matched_site, x.matched_pattern, x.tries,
        w.job_id, now() + w.wait, nullif(x.cause, ''),
        CASE WHEN x.cause <> '' THEN coalesce((SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = x.intent_id), '/') END,
        CASE WHEN x.outcome = 'waiting' THEN now() END
    FROM (SELECT
        unnest(@decision_intents::text[])::uuid AS intent_id,
        unnest(@decision_subscriptions::text[])::uuid AS subscription_id,
        unnest(@decision_outcomes::text[]) AS outcome,
        unnest(@decision_reasons::text[]) AS reason,
        unnest(@decision_sites::text[]) AS matched_site,
        unnest(@decision_patterns::text[]) AS matched_pattern,
        unnest(@decision_tries::integer[]) AS tries,
        unnest(@decision_causes::text[]) AS cause,
        unnest(@decision_ms::bigint[]) * interval '1 millisecond' AS wait
    ) x
    JOIN moved m USING (intent_id)
    LEFT JOIN decision_job w ON w.intent_id = x.intent_id AND w.wait = x.wait AND x.outcome = 'waiting' AND x.cause = ''
    ON CONFLICT (intent_id, subscription_id) DO NOTHING
), made AS (
    -- The deliveries: held if the chunk says so, or if the circuit of the endpoint is not closed by
    -- now; the others belong to the job of the chunk.
    INSERT INTO /* TEMPLATE: schema */delivery (
        id, intent_id, subscription_id, dialect, matched_site, matched_pattern, epoch, hold, held_since, job_id, access_at)
    SELECT
        x.id, x.intent_id, x.subscription_id, x.dialect, x.matched_site, x.matched_pattern, x.epoch,
        x.hold, CASE WHEN x.hold <> '' THEN now() END, CASE WHEN x.hold = '' THEN x.job_id END,
        now() - x.access_ms * interval '1 millisecond'
    FROM (SELECT
        y.id, y.intent_id, y.subscription_id, y.dialect, y.matched_site, y.matched_pattern, y.epoch, y.job_id, y.access_ms,
        CASE WHEN y.hold = '' AND greatest(c.asked_until, c.circuit_until, c.probe_until) > now() THEN 'circuit' ELSE y.hold END AS hold
    FROM (SELECT
        unnest(@delivery_ids::text[])::uuid AS id,
        unnest(@delivery_intents::text[])::uuid AS intent_id,
        unnest(@delivery_subscriptions::text[])::uuid AS subscription_id,
        unnest(@delivery_dialects::text[]) AS dialect,
        unnest(@delivery_sites::text[]) AS matched_site,
        unnest(@delivery_patterns::text[]) AS matched_pattern,
        unnest(@delivery_epochs::integer[]) AS epoch,
        unnest(@delivery_access_ms::bigint[]) AS access_ms,
        unnest(@delivery_holds::text[]) AS hold,
        unnest(@delivery_jobs::bigint[]) AS job_id
    ) y LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = y.subscription_id AND c.epoch = y.epoch
    ) x JOIN moved m USING (intent_id)
    ON CONFLICT (intent_id, subscription_id) DO NOTHING
    RETURNING id, subscription_id, epoch, hold
)
SELECT
    d.id,
    ARRAY(
        SELECT k.packed FROM /* TEMPLATE: schema */signing_secret k
        WHERE k.subscription_id = d.subscription_id ORDER BY k.created_at DESC, k.id DESC
    )::bytea[] AS secrets,
    coalesce(c.circuit_opened, 0)::integer AS circuit_opened,
    coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS trial,
    coalesce(c.gone, false)::boolean AS gone,
    coalesce(c.failing, false)::boolean AS failing,
    false AS stale
FROM made d
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = d.subscription_id AND c.epoch = d.epoch
WHERE d.hold = ''
UNION ALL
SELECT t.intent_id, '{}'::bytea[], 0, false, false, false, true
FROM (SELECT s.intent_id FROM stale s UNION ALL
    SELECT r.intent_id FROM ready r WHERE r.intent_id NOT IN (SELECT m.intent_id FROM moved m)) t;

-- name: CommitRedecisions :many
-- CommitRedecisions writes the decisions of one intent that waited: those that
-- became a delivery give way to it, the others are updated. Where a transaction
-- of the application is about to erase the intent nothing is.
WITH free AS MATERIALIZED (
    -- The intent, unless somebody has its row, as whoever erases it.
    SELECT s.intent_id FROM /* TEMPLATE: schema */intent_state s WHERE s.intent_id = @intent_id::uuid FOR SHARE SKIP LOCKED
), updated AS (
    -- The decisions that stay decisions.
    UPDATE /* TEMPLATE: schema */decision d SET
        outcome = x.outcome, reason = x.reason, tries = x.tries, decided_at = now(), ended_runs = NULL,
        job_id = CASE WHEN x.outcome = 'waiting' AND x.cause = '' THEN d.job_id END,
        due_at = CASE WHEN x.cause = '' THEN d.due_at END,
        cause = CASE WHEN x.cause = '' THEN d.cause ELSE x.cause END,
        cause_share = CASE WHEN x.cause = '' THEN d.cause_share
            ELSE coalesce((SELECT i.share FROM /* TEMPLATE: schema */intent i WHERE i.id = d.intent_id), '/') END,
        probes = CASE WHEN x.cause = '' THEN d.probes WHEN d.cause = x.cause AND d.held_since IS NOT NULL THEN d.probes + 1 ELSE 0 END,
        held_since = CASE WHEN x.outcome = 'waiting' THEN coalesce(d.held_since, now()) END
    FROM (SELECT
        unnest(@decision_subscriptions::text[])::uuid AS subscription_id,
        unnest(@decision_outcomes::text[]) AS outcome,
        unnest(@decision_reasons::text[]) AS reason,
        unnest(@decision_tries::integer[]) AS tries,
        unnest(@decision_causes::text[]) AS cause
    ) x
    WHERE d.intent_id = @intent_id::uuid AND d.subscription_id = x.subscription_id AND d.outcome = 'waiting'
        AND EXISTS (SELECT FROM free)
), made_way AS (
    -- The decisions that become deliveries.
    DELETE FROM /* TEMPLATE: schema */decision d
    WHERE d.intent_id = @intent_id::uuid AND d.outcome = 'waiting'
        AND d.subscription_id = ANY ((@delivery_subscriptions::text[])::uuid[])
        AND EXISTS (SELECT FROM free)
    RETURNING d.subscription_id
), messages AS (
    -- The messages of these.
    INSERT INTO /* TEMPLATE: schema */message (intent_id, dialect, content_type, headers, body)
    SELECT @intent_id::uuid, x.dialect, x.content_type, x.headers::jsonb, x.body
    FROM (SELECT
        unnest(@message_dialects::text[]) AS dialect,
        unnest(@message_types::text[]) AS content_type,
        unnest(@message_headers::text[]) AS headers,
        unnest(@message_bodies::bytea[]) AS body
    ) x
    WHERE EXISTS (SELECT FROM made_way)
    ON CONFLICT (intent_id, dialect) DO NOTHING
), made AS (
    -- The deliveries: held if the decision says so, or if the circuit of the endpoint is not closed
    -- by now; the others belong to the job that has decided.
    INSERT INTO /* TEMPLATE: schema */delivery (
        id, intent_id, subscription_id, dialect, matched_site, matched_pattern, epoch, hold, held_since, job_id, due_at, access_at)
    SELECT
        x.id, @intent_id::uuid, x.subscription_id, x.dialect, x.matched_site, x.matched_pattern, x.epoch,
        x.hold, CASE WHEN x.hold <> '' THEN now() END, CASE WHEN x.hold = '' THEN @job_id::bigint END, CASE WHEN x.hold = '' THEN now() END,
        now() - x.access_ms * interval '1 millisecond'
    FROM (SELECT
        y.id, y.subscription_id, y.dialect, y.matched_site, y.matched_pattern, y.epoch, y.access_ms,
        CASE WHEN y.hold = '' AND greatest(c.asked_until, c.circuit_until, c.probe_until) > now() THEN 'circuit' ELSE y.hold END AS hold
    FROM (SELECT
        unnest(@delivery_ids::text[])::uuid AS id,
        unnest(@delivery_subscriptions::text[])::uuid AS subscription_id,
        unnest(@delivery_dialects::text[]) AS dialect,
        unnest(@delivery_sites::text[]) AS matched_site,
        unnest(@delivery_patterns::text[]) AS matched_pattern,
        unnest(@delivery_epochs::integer[]) AS epoch,
        unnest(@delivery_access_ms::bigint[]) AS access_ms,
        unnest(@delivery_holds::text[]) AS hold
    ) y LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = y.subscription_id AND c.epoch = y.epoch
    ) x JOIN made_way w USING (subscription_id)
    ON CONFLICT (intent_id, subscription_id) DO NOTHING
    RETURNING id, subscription_id, epoch, hold
)
SELECT
    d.id,
    ARRAY(
        SELECT k.packed FROM /* TEMPLATE: schema */signing_secret k
        WHERE k.subscription_id = d.subscription_id ORDER BY k.created_at DESC, k.id DESC
    )::bytea[] AS secrets,
    coalesce(c.circuit_opened, 0)::integer AS circuit_opened,
    coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false)::boolean AS trial,
    coalesce(c.gone, false)::boolean AS gone,
    coalesce(c.failing, false)::boolean AS failing
FROM made d
LEFT JOIN /* TEMPLATE: schema */subscription_circuit c ON c.subscription_id = d.subscription_id AND c.epoch = d.epoch
WHERE d.hold = '';
