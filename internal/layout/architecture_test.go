package layout_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const architecture = "docs/architecture.md"

// named finds the tests that a document names: `TestX`, `TestX/a_subtest`, or
// with the folder in front where the name alone could mean several:
// `delivery.TestX`.
var named = regexp.MustCompile("`(?:([a-z][a-z0-9/]*)\\.)?((?:Test|Fuzz|Example)[A-Z_]?\\w*)(?:/([^`]+))?`")

// A test is a function of a test file; literals are the strings in that file,
// as the names of subtests are written.
type test struct {
	folder   string
	literals map[string]bool
}

func TestArchitecture_EachTestThatItNamesExists(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(architecture)))
	require.NoError(t, err)

	require.Empty(t, strings.Join(missing(string(text), tests(t, tree(t))), "\n"))
}

func TestArchitecture_ANameOfNoTestIsFound(t *testing.T) {
	t.Parallel()

	const source = "package outbox\nfunc TestOne(t *testing.T) { t.Run(\"two words\", nil) }\nfunc (s) TestMethod() {}"
	have := tests(t, []file{
		{path: "outbox/a_test.go", text: []byte(source)},
		{path: "outbox/b.go", text: []byte("package outbox\nfunc TestNotInATestFile() {}")},
	})
	doc := "| a | `TestOne`, `TestOne/two_words`, `outbox.TestOne` |\n" +
		"| b | `TestTwo` | \n| c | `delivery.TestOne`, `TestOne/three_words` |\n| d | `TestMethod`, `TestNotInATestFile` |\n"

	require.Equal(t, []string{
		"line 2: TestTwo", "line 3: delivery.TestOne", "line 3: TestOne/three_words", "line 4: TestMethod", "line 4: TestNotInATestFile",
	}, missing(doc, have))
}

// missing says which of the tests that the document names are not there.
func missing(doc string, have map[string][]test) []string {
	var found []string
	for i, line := range strings.Split(doc, "\n") {
		for _, m := range named.FindAllStringSubmatch(line, -1) {
			folder := m[1]
			name := m[2]
			sub := m[3]
			exists := slices.ContainsFunc(have[name], func(t test) bool {
				return (folder == "" || folder == t.folder) && (sub == "" || t.literals[sub])
			})
			if !exists {
				found = append(found, fmt.Sprintf("line %d: %s", i+1, strings.Trim(m[0], "`")))
			}
		}
	}
	return found
}

// tests returns the tests of all test files by their names.
func tests(t *testing.T, files []file) map[string][]test {
	t.Helper()

	have := map[string][]test{}
	for _, f := range files {
		if !strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
		require.NoError(t, err)

		literals := map[string]bool{}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				literals[strings.ReplaceAll(text, " ", "_")] = true
			}
			return true
		})
		for _, decl := range parsed.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				have[fn.Name.Name] = append(have[fn.Name.Name], test{folder: path.Dir(f.path), literals: literals})
			}
		}
	}
	return have
}
