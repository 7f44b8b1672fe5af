-- Whether JSON is nested more than 512 levels deep. Parsers that recurse stop
-- somewhere: Postgres's own by max_stack_depth, those of receivers who knows where.
-- Strings and all that is no bracket are taken out, and then the innermost
-- pairs, level by level. A string without an end reaches to the end of the text, so
-- that a text which is no JSON costs no more than one that is. Backslashes are written as
-- E'' because a session can switch standard_conforming_strings off. What is no JSON the cast refuses, but where it has so
-- many brackets that the cast could overflow the stack.
CREATE OR REPLACE FUNCTION /* TEMPLATE: schema */nested_too_deep(data text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    brackets text; size integer;
BEGIN
    brackets := translate(regexp_replace(data, E'(?:[^][{}"]|"(?:[^"\\\\]|\\\\.)*(?:"|\\\\?$))+', '', 'g'), '{}', '[]');
    FOR levels IN 0..511 LOOP
        size := length(brackets);
        IF size <= 2 * (512 - levels) THEN -- a level is a pair
            RETURN false;
        END IF;
        brackets := replace(brackets, '[]', '');
        EXIT WHEN length(brackets) = size;
    END LOOP;
    RETURN brackets <> '';
END
$$;

REVOKE ALL ON FUNCTION /* TEMPLATE: schema */nested_too_deep FROM PUBLIC;
