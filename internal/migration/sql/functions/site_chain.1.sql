-- site_chain is the sites from the one that a path names up to "/", nearest first, after
-- a token that is the same only while they are, for an intent that has seen the tree at a version; 0 is for the present. A path
-- leads to the site whose alias it was then, or else to the one that is there, unless
-- that has come after the path, or one above it, was taken from the site that it led to
-- then; one that is neither leads where the path above it does. Whoever may read the two tables may call it.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */site_chain(path text, tree_version bigint) RETURNS text[]
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
DECLARE
    present CONSTANT bigint := 9223372036854775807;
    seen bigint := coalesce(nullif(tree_version, 0), present);
    taken bigint; -- the change that has put another site at the candidate or above it
    candidate text := path; at uuid; here text; above uuid; chain text[]; ids text := '';
BEGIN
    IF NOT EXISTS (SELECT FROM /* TEMPLATE: schema */site_alias a WHERE a.ended >= seen AND a.ended < present) THEN
        seen := present;
    END IF;
    LOOP
        taken := NULL;
        IF seen < present THEN
            SELECT min(a.ended) INTO taken FROM /* TEMPLATE: schema */site_alias a
            WHERE a.ended >= seen AND a.ended < present AND (a.path = candidate OR starts_with(candidate, a.path || '/'));
        END IF;
        SELECT a.site_id INTO at FROM /* TEMPLATE: schema */site_alias a
        WHERE a.path = candidate AND a.ended >= seen AND a.since < coalesce(taken, present)
        ORDER BY a.ended LIMIT 1;
        IF at IS NULL THEN
            SELECT s.id INTO at FROM /* TEMPLATE: schema */site s WHERE s.path = candidate AND s.changed < coalesce(taken, present);
        END IF;
        EXIT WHEN at IS NOT NULL OR candidate IN ('/', '');
        candidate := coalesce(nullif(regexp_replace(candidate, '/[^/]*$', ''), ''), '/');
    END LOOP;
    WHILE at IS NOT NULL LOOP
        SELECT s.path, s.parent_id INTO here, above FROM /* TEMPLATE: schema */site s WHERE s.id = at;
        chain := chain || here;
        ids := ids || at::text;
        at := above;
    END LOOP;
    RETURN md5(ids || chain[1]) || chain;
END
$$;
