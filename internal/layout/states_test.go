package layout_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the callers into "+statesFile)

const statesFile = "docs/internals/states.md"

// stateful is what has a state: its heading, its table, the columns in which the state
// is, and states that no column has.
var stateful = []struct {
	heading, table string
	columns        []string
	others         []string
}{
	{"Intent", "intent_state", []string{"state"}, nil},
	{"Decision", "decision", []string{"outcome"}, []string{"delivery"}},
	{"Delivery", "delivery", []string{"state", "hold"}, nil},
	{"Subscription", "subscription", []string{"state", "deleted_at"}, []string{"deleted"}},
	{"Inbox event", "inbox_event", []string{"state"}, nil},
}

// transition is what statements say of their changes of a table, all together.
type transition struct {
	to     map[string]bool
	closed bool // all that they set is in to
}

func TestStates_EachStatementThatChangesOneHasARow(t *testing.T) {
	t.Parallel()
	all := slices.Concat(queries(t), schemaFunctions(t))
	checks := schemaChecks(t)
	for _, s := range stateful {
		known := slices.Concat([]string{}, s.others)
		for _, column := range s.columns {
			known = append(known, checks[s.table+"."+column]...)
		}
		changed := map[string]*transition{}
		for _, st := range all {
			for _, c := range changes(st.text) {
				if c.table == s.table {
					c.addTo(changed, st.name, s.columns)
				}
			}
		}
		to := map[string]map[string]bool{}
		for _, row := range stateRows(t, s.heading) {
			name := strings.Trim(row[2], "` ")
			if to[name] == nil {
				to[name] = map[string]bool{}
			}
			for _, word := range backticked(row[0]) {
				require.Contains(t, known, word, "%s: from of %s", s.heading, name)
			}
			for _, word := range backticked(row[1]) {
				require.Contains(t, known, word, "%s: to of %s", s.heading, name)
				to[name][word] = true
			}
			require.NotEmpty(t, strings.TrimSpace(row[4]), "%s: fence of %s", s.heading, name)
		}
		require.Equal(t, slices.Sorted(maps.Keys(changed)), slices.Sorted(maps.Keys(to)), "%s: statements, and rows of %s", s.heading, statesFile)
		for name, tr := range changed {
			for word := range tr.to {
				require.Contains(t, to[name], word, "%s: %s sets it", s.heading, name)
			}
			if tr.closed {
				require.Equal(t, tr.to, to[name], "%s: %s sets nothing else", s.heading, name)
			}
		}
	}
}

// addTo adds what a change does, if it changes a state.
func (c *change) addTo(changed map[string]*transition, name string, columns []string) {
	var texts []string
	closed, concerns := c.action == "UPDATE", c.action != "UPDATE"
	for _, column := range columns {
		if expression, set := c.values[column]; set && c.action == "UPDATE" {
			concerns = true
			found, all := literals(expression)
			closed = closed && all
			texts = append(texts, found...)
		}
	}
	if !concerns {
		return
	}
	tr := changed[name]
	if tr == nil {
		tr = &transition{to: map[string]bool{}, closed: true}
		changed[name] = tr
	}
	tr.closed = tr.closed && closed
	_, setsState := c.values["state"]
	for _, text := range texts {
		switch {
		case text != "":
			tr.to[text] = true
		case !setsState: // no hold any more
			tr.to["pending"] = true
		}
	}
}

// stateRows returns the cells of the rows below a heading.
func stateRows(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, root+"/"+statesFile), "\n## "+heading+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " |")
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| from ") {
			require.Len(t, cells, 5, line)
			rows = append(rows, cells)
		}
	}
	require.NotEmpty(t, rows, heading)
	return rows
}

var backtick = regexp.MustCompile("`([^`]+)`")

func backticked(text string) (words []string) {
	for _, match := range backtick.FindAllStringSubmatch(text, -1) {
		words = append(words, match[1])
	}
	return words
}

var stateRow = regexp.MustCompile("(?m)^(\\|[^|]*\\|[^|]*\\| `(\\w+)` \\|)([^|]*)(\\|[^|]*\\|)$")

func TestStates_CallersAreThoseThatCall(t *testing.T) {
	t.Parallel()
	callers := statementCallers(t)
	text := readFile(t, root+"/"+statesFile)
	want := stateRow.ReplaceAllStringFunc(text, func(row string) string {
		cells := stateRow.FindStringSubmatch(row)
		return cells[1] + " " + strings.Join(callers[cells[2]], ", ") + " " + cells[4]
	})
	for name, by := range callers {
		require.NotEmpty(t, by, name)
	}
	if *update {
		require.NoError(t, os.WriteFile(root+"/"+statesFile, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, text, "run: go test ./internal/layout -run TestStates -update")
}

// statementCallers returns, for each statement with a row, who calls it: functions of Go as
// package.Type.function, and statements.
func statementCallers(t *testing.T) map[string][]string {
	t.Helper()
	callers := map[string][]string{}
	for _, s := range stateful {
		for _, row := range stateRows(t, s.heading) {
			callers[strings.Trim(row[2], "` ")] = nil
		}
	}
	add := func(name, by string) {
		by = "`" + by + "`"
		if list, has := callers[name]; has && !slices.Contains(list, by) {
			callers[name] = append(list, by)
		}
	}
	for _, s := range slices.Concat(queries(t), schemaFunctions(t)) {
		all := tokens(s.text)
		for i := range all[1:] {
			if all[i+1].kind == '(' && all[i].text != s.name {
				add(all[i].text, s.name)
			}
		}
	}
	for _, f := range goFiles(t) {
		folder := path.Base(path.Dir(f.path))
		for _, decl := range f.parsed.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			name := folder + "." + receiverType(fn) + fn.Name.Name
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && isStore(sel.X) {
					add(sel.Sel.Name, name)
				}
				return true
			})
		}
	}
	for name := range callers {
		slices.Sort(callers[name])
	}
	return callers
}

// isStore is true of what holds the queries, by its name: a type checker would need
// the time of a build.
func isStore(expr ast.Expr) bool {
	switch e := expr.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"db", "frequent", "q", "queries", "store"}, strings.ToLower(e.Name))
	case *ast.SelectorExpr:
		return isStore(e.Sel)
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && slices.Contains([]string{"Filtering", "Frequent", "In", "Plain", "in"}, sel.Sel.Name)
	default:
		return false
	}
}

func receiverType(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name + "."
		default:
			return ""
		}
	}
}

type goFile struct {
	path   string // from the module's root, with slashes
	parsed *ast.File
}

// goFiles returns the files of the library that somebody has written.
func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	for _, folder := range []string{"delivery", "event", "internal", "manifest", "outbox", "hierarchy", "subscription", "receiver"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(name string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if rel, _ := filepath.Rel(root, name); !ast.IsGenerated(parsed) {
				files = append(files, goFile{path: filepath.ToSlash(rel), parsed: parsed})
			}
			return nil
		}))
	}
	return files
}
