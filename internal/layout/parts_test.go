package layout_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Which parts of the engine each part may import: those of the rows above it, and no others.
// Only delivery itself imports every part.
var parts = []struct {
	name string
	may  string
}{
	{"callbacks", ""},
	{"payloads", ""},
	{"drain", ""},
	{"turns", ""},
	{"attempt", "callbacks"},
	{"credentials", "callbacks"},
	{"decide", "attempt callbacks"},
	{"slots", "attempt"},
	{"rates", "attempt"},
	{"record", "attempt callbacks"},
	{"maintain", "attempt record rates slots"},
	{"send", "attempt callbacks credentials decide payloads rates slots turns"},
	{"verify", "attempt callbacks"},
	{"ping", "attempt credentials decide send slots verify"},
	{"expand", "attempt callbacks decide payloads record send turns"},
	{"gates", "attempt decide expand payloads record send slots"},
}

// Each part of the engine imports exactly the parts that its row names, so that the table is
// the picture of the engine.
func TestParts_ImportWhatTheTableSays(t *testing.T) {
	t.Parallel()
	const below = "delivery/internal/"
	folders, err := os.ReadDir(filepath.Join(root, below))
	require.NoError(t, err)
	require.Len(t, folders, len(parts), "each part has a row")
	known := map[string]bool{}
	for _, part := range parts {
		imported := map[string]bool{}
		for path := range importsOf(t, below+part.name) {
			if other, ok := strings.CutPrefix(path, module+"/"+below); ok {
				imported[other] = true
				require.True(t, known[other], "%s imports %s, whose row is not above it", part.name, other)
			}
			require.NotEqual(t, module+"/delivery", path, part.name)
		}
		want := map[string]bool{}
		for name := range strings.FieldsSeq(part.may) {
			want[name] = true
		}
		require.Equal(t, want, imported, part.name)
		known[part.name] = true
	}
}

// importsOf is what the files of a folder import, but for its tests.
func importsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	require.NoError(t, err)
	imports := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			imports[path] = true
		}
	}
	return imports
}

// The name of a test file of package delivery begins with the name of what it tests: a file of
// the package, a part of the engine, or the heartbeat.
func TestParts_ATestFileOfTheEngineNamesWhatItTests(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		"bundle": true, "example": true, "export": true, "helpers": true, // of all of them
		"heartbeat": true,
	}
	first := func(name string) string { word, _, _ := strings.Cut(name, "_"); return word }
	for _, part := range parts {
		known[part.name] = true
	}
	names, err := filepath.Glob(filepath.Join(root, "delivery", "*.go"))
	require.NoError(t, err)
	var tests []string
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".go")
		if name, ok := strings.CutSuffix(name, "_test"); ok {
			tests = append(tests, name)
		} else {
			known[first(name)] = true
		}
	}
	require.NotEmpty(t, tests)
	for _, name := range tests {
		require.True(t, known[first(name)], "delivery/%s_test.go begins with no name of a file or of a part", name)
	}
}
