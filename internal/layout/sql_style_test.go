package layout_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxUncommented is how many lines a statement may have whose parts say nothing of
// themselves.
const maxUncommented = 40

var (
	cteHead = regexp.MustCompile(`^\s*(?:WITH (?:RECURSIVE )?|\), )(\w+)(?: \([^)]*\))? AS (?:(?:NOT )?MATERIALIZED )?\(\s*(.*)$`)
	jobsRow = regexp.MustCompile(`river_job \(\s*(?:id, )?args, kind, max_attempts, queue, state, scheduled_at(?:, tags)?` +
		`(?:, attempt, attempted_at, attempted_by)?\)\s+` + // of a job that is running in a process at once
		`SELECT (?:\w+\.job_id, )?(?:j\.args, j\.kind, j\.max_attempts, j\.queue,\s+` +
		`(?:j\.state|CASE WHEN sqlc\.arg\(process\)::text = '' THEN j\.state ELSE 'running' END), j\.scheduled_at(?:, j\.tags)?` +
		`(?:,\s+CASE WHEN sqlc\.arg\(process\)::text (?:= '' THEN 0 ELSE 1|<> '' THEN now\(\)|` +
		`<> '' THEN ARRAY\[sqlc\.arg\(process\)::text\]) END)*` +
		`|j\.\*)\s+` +
		`FROM (?:(?:\w+|\(SELECT [^()]*\([^()]*\)[^()]*\)) \w+\s+` +
		`(?:LEFT JOIN LATERAL \([^()]*intent i WHERE [^()]* OFFSET 0\) i ON true\s+)?CROSS JOIN LATERAL )?` +
		`/\* TEMPLATE: schema \*/job_(?:chunk|decide|deliver|expand|receive)\(`)
	jobsRows = regexp.MustCompile(`INSERT INTO /\* TEMPLATE: schema \*/river_job\b`)
)

func TestSQL_EachPartOfALongStatementSaysWhatItIs(t *testing.T) {
	t.Parallel()
	var silent []string
	for _, s := range slices.Concat(queries(t), schemaFunctions(t)) {
		silent = append(silent, silentParts(s)...)
	}
	require.Empty(t, strings.Join(silent, "\n"))
}

// silentParts returns the common table expressions of a long statement that have no
// comment.
func silentParts(s statement) (found []string) {
	lines := strings.Split(strings.TrimSpace(s.text), "\n")
	for len(lines) > 0 && strings.HasPrefix(lines[0], "--") {
		lines = lines[1:]
	}
	if len(lines) <= maxUncommented {
		return nil
	}
	for i, line := range lines {
		head := cteHead.FindStringSubmatch(line)
		if len(head) > 0 && (head[2] != "" || i+1 == len(lines) || !strings.HasPrefix(strings.TrimSpace(lines[i+1]), "--")) {
			found = append(found, fmt.Sprintf("%s %s: %s has no comment", s.file, s.name, head[1]))
		}
	}
	return found
}

func TestSQL_APartWithoutACommentIsFound(t *testing.T) {
	t.Parallel()
	long := "WITH a AS (\n    -- This.\n    SELECT 1\n), b (x) AS MATERIALIZED (\n    SELECT 2\n)" +
		strings.Repeat("\nSELECT 3", maxUncommented)
	require.Equal(t, []string{"f.sql S: b has no comment"}, silentParts(statement{
		name: "S",
		file: "f.sql",
		text: long,
	}))
	require.Empty(t, silentParts(statement{text: "WITH a AS (\n    SELECT 1\n)\nSELECT 2"}))
}

// The row of a River job comes from the function of its kind, which is held to what
// River itself inserts.
func TestSQL_EachRiverJobIsMadeByTheFunctionOfItsKind(t *testing.T) {
	t.Parallel()
	written := 0
	for _, s := range slices.Concat(queries(t), schemaFunctions(t)) {
		n := len(jobsRows.FindAllString(s.text, -1))
		require.Len(t, jobsRow.FindAllString(s.text, -1), n, "%s %s", s.file, s.name)
		written += n
	}
	require.Greater(t, written, 15)
}

// A number in a statement that is policy has no name and no reason.
func TestSQL_WaitsAreParameters(t *testing.T) {
	t.Parallel()
	wait := regexp.MustCompile(`(?i)interval '(?:[0-9]+ (?:second|minute|hour|day)s?)'|LIMIT (?:[2-9]|[0-9]{2,})`)
	for _, s := range queries(t) {
		require.Empty(t, wait.FindAllString(s.text, -1), "%s %s", s.file, s.name)
	}
}

// The statements that change deliveries are found by what their files are named.
func TestSQL_StatementsThatChangeDeliveriesAreInTheirFiles(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]bool{}
	for _, s := range queries(t) {
		for _, c := range changes(s.text) {
			_, state := c.values["state"]
			_, hold := c.values["hold"]
			if c.table == "delivery" && (state || hold || c.action == "INSERT") && !strings.HasPrefix(s.file, "delivery_") {
				elsewhere[s.file+" "+s.name] = true
			}
		}
	}
	require.Empty(t, slices.Sorted(maps.Keys(elsewhere)))
}
