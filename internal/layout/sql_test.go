package layout_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The checks of SQL read tokens. A parser of Postgres' grammar would be a megabyte of
// WebAssembly that takes seconds to start, and would see the bodies of functions as
// one text: half of what is to be found is there.

const (
	queriesFolder   = root + "/internal/store/queries"
	migrationFolder = root + "/internal/migration/sql"
)

// statement is one query, one function, or the tables of one step.
type statement struct {
	name string
	file string
	text string
}

// lexeme is a word, a text or a symbol.
type lexeme struct {
	text string // of a text: without its quotes
	kind byte   // 'w', 't' or the symbol
}

func (l lexeme) is(words ...string) bool {
	return l.kind == 'w' && slices.Contains(words, strings.ToUpper(l.text))
}

var (
	queryName  = regexp.MustCompile(`(?m)^-- name: (\w+) :\w+\n`)
	sqlToken   = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|\$\$|'(?:[^']|'')*'|[A-Za-z_@][A-Za-z0-9_]*|\$?[0-9.]+|\S`)
	sqlComment = regexp.MustCompile(`^(--|/\*)`)
)

// queries returns the queries of the store.
func queries(t *testing.T) []statement {
	t.Helper()
	var all []statement
	for _, path := range sqlFiles(t, queriesFolder) {
		text := readFile(t, path)
		starts := queryName.FindAllStringSubmatchIndex(text, -1)
		require.NotEmpty(t, starts, path)
		for i, at := range starts {
			end := len(text)
			if i+1 < len(starts) {
				end = starts[i+1][0]
			}
			all = append(all, statement{
				name: text[at[2]:at[3]],
				file: filepath.Base(path),
				text: text[at[1]:end],
			})
		}
	}
	return all
}

// schemaFunctions returns the functions of the schema, each with its last text.
func schemaFunctions(t *testing.T) []statement {
	t.Helper()
	byName := map[string]statement{}
	for _, path := range sqlFiles(t, migrationFolder+"/functions") {
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		byName[name] = statement{ // sorted, so that the last one wins
			name: name,
			file: filepath.Base(path),
			text: readFile(t, path),
		}
	}
	all := make([]statement, 0, len(byName))
	for _, s := range byName {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b statement) int { return strings.Compare(a.name, b.name) })
	return all
}

func sqlFiles(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(folder + "/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// tokens returns the tokens of a text but for comments and the quotes of bodies.
func tokens(text string) []lexeme {
	var all []lexeme
	for _, s := range sqlToken.FindAllString(text, -1) {
		switch {
		case sqlComment.MatchString(s) || s == "$$":
		case s[0] == '\'':
			all = append(all, lexeme{text: strings.ReplaceAll(s[1:len(s)-1], "''", "'"), kind: 't'})
		case s[0] == '_' || s[0] == '@' || s[0] == '$' || s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z' || s[0] >= '0' && s[0] <= '9':
			all = append(all, lexeme{text: s, kind: 'w'})
		default:
			all = append(all, lexeme{text: s, kind: s[0]})
		}
	}
	return all
}

// change is what a statement does to the rows of a table.
type change struct {
	table  string
	action string              // INSERT, UPDATE or DELETE
	values map[string][]lexeme // by column: the expression, nil of an INSERT
}

// changes returns what a statement does, in its order.
func changes(text string) []change {
	all := tokens(text)
	at := func(i int) lexeme {
		if i < len(all) {
			return all[i]
		}
		return lexeme{}
	}
	var found []change
	for i := range all {
		switch {
		case all[i].is("UPDATE") && i > 0 && all[i-1].is("DO"):
			last := &found[len(found)-1] // the INSERT whose conflict it is
			found = append(found, change{
				table:  last.table,
				action: "UPDATE",
				values: assignments(all[i+2:]),
			})
		case all[i].is("UPDATE") && at(i+1).kind == 'w' && !at(i+1).is("OF", "SKIP"):
			for j := i + 2; j < i+5; j++ {
				if at(j).is("SET") {
					found = append(found, change{
						table:  all[i+1].text,
						action: "UPDATE",
						values: assignments(all[j+1:]),
					})
					break
				}
			}
		case all[i].is("INSERT") && at(i+1).is("INTO"):
			c := change{
				table:  at(i + 2).text,
				action: "INSERT",
				values: map[string][]lexeme{},
			}
			j := i + 3
			for at(j).kind == 'w' { // AS alias
				j++
			}
			for j++; j < len(all) && all[j].kind != ')'; j++ {
				if all[j].kind == 'w' {
					c.values[all[j].text] = nil
				}
			}
			found = append(found, c)
		case all[i].is("DELETE") && at(i+1).is("FROM"):
			found = append(found, change{table: at(i + 2).text, action: "DELETE"})
		}
	}
	return found
}

// assignments returns what SET sets.
func assignments(all []lexeme) map[string][]lexeme {
	values := map[string][]lexeme{}
	depth, column := 0, ""
	for i, tok := range all {
		switch {
		case tok.kind == '(':
			depth++
		case tok.kind == ')':
			depth--
		}
		if depth < 0 || depth == 0 && (tok.is("FROM", "WHERE", "RETURNING") || tok.kind == ';') {
			break
		}
		switch {
		case column == "" && i+1 < len(all) && all[i+1].kind == '=':
			column = tok.text
			values[column] = []lexeme{}
		case depth == 0 && tok.kind == ',':
			column = ""
		case column != "" && (len(values[column]) > 0 || tok.kind != '='):
			values[column] = append(values[column], tok)
		}
	}
	return values
}

// literals returns the texts that an expression can be. closed says that it can be
// nothing else.
func literals(expression []lexeme) (texts []string, closed bool) {
	closed = true
	value := func(i int) {
		switch {
		case i < len(expression) && expression[i].kind == 't':
			texts = append(texts, expression[i].text)
		default:
			closed = false
		}
	}
	if len(expression) > 0 && !expression[0].is("CASE") {
		value(0)
		return texts, closed
	}
	for i, tok := range expression {
		if tok.is("THEN", "ELSE") {
			value(i + 1)
		}
	}
	return texts, closed
}

func TestChanges_OfAStatementAreFound(t *testing.T) {
	t.Parallel()
	found := changes(`
		WITH a AS (
			UPDATE /* TEMPLATE: schema */delivery d SET state = CASE WHEN x.f(d, 'no') THEN 'cancelled' ELSE 'pending' END, -- not 'this'
				reason = 'it''s over', hold = $1, n = d.n + 1
			FROM x WHERE d.state = 'pending' FOR UPDATE SKIP LOCKED
			RETURNING d.id
		), b AS (
			INSERT INTO /* TEMPLATE: schema */decision AS c (intent_id, outcome) SELECT 1, 'waiting'
			ON CONFLICT (intent_id) DO UPDATE SET outcome = excluded.outcome WHERE true
		), c AS (SELECT FROM a FOR UPDATE OF d)
		DELETE FROM /* TEMPLATE: schema */intent i WHERE i.id = 1;`)
	require.Len(t, found, 4)
	require.Equal(t, "delivery UPDATE", found[0].table+" "+found[0].action)
	require.Len(t, found[0].values, 4)
	texts, closed := literals(found[0].values["state"])
	require.Equal(t, []string{"cancelled", "pending"}, texts)
	require.True(t, closed)
	texts, closed = literals(found[0].values["reason"])
	require.Equal(t, []string{"it's over"}, texts)
	require.True(t, closed)
	_, closed = literals(found[0].values["hold"])
	require.False(t, closed)
	require.Equal(t, "decision INSERT", found[1].table+" "+found[1].action)
	require.Contains(t, found[1].values, "outcome")
	require.Equal(t, "decision UPDATE", found[2].table+" "+found[2].action)
	_, closed = literals(found[2].values["outcome"])
	require.False(t, closed)
	require.Equal(t, "intent DELETE", found[3].table+" "+found[3].action)
}
