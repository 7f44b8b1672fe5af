package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

func TestMutant_EachFitsTheSource(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range mutants {
		require.False(t, names[m.name], "two mutants are named %q", m.name)
		names[m.name] = true
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
			require.NoError(t, err)

			changed, err := m.apply(text)

			require.NoError(t, err)
			require.NotEqual(t, string(text), string(changed))
			if strings.HasSuffix(m.file, ".go") {
				_, err = parser.ParseFile(token.NewFileSet(), m.file, changed, parser.SkipObjectResolution)
				require.NoError(t, err)
			}
			require.Contains(t, testsIn(t, m.folder()), m.testName())
		})
	}
}

// testsIn returns the names of the functions in the test files of a folder.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*_test.go"))
	require.NoError(t, err)
	names := map[string]bool{}
	for _, path := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

func TestMutant_ChangesOnePlace(t *testing.T) {
	t.Parallel()
	const source = "package p\n\nconst one = `a b`\n\nfunc two() { a(); a() }\n\nfunc (x) three() {}\n\nfunc (y) three() {}\n"
	for _, tt := range []struct {
		name, decl, old, changed, err string
	}{
		{
			name:    "in a constant",
			decl:    "one",
			old:     "a",
			changed: strings.Replace(source, "`a b`", "`c b`", 1),
		},
		{
			name:    "in the whole file",
			old:     "a b",
			changed: strings.Replace(source, "`a b`", "`c`", 1),
		},
		{
			name: "that is there twice",
			decl: "two",
			old:  "a()",
			err:  `p.go two: "a()" is there 2 times, not once`,
		},
		{
			name: "that is not there",
			decl: "two",
			old:  "b",
			err:  `p.go two: "b" is there 0 times, not once`,
		},
		{
			name: "in what is not declared",
			decl: "four",
			old:  "a",
			err:  `p.go: "four" is declared 0 times, not once`,
		},
		{
			name: "in what is declared twice",
			decl: "three",
			old:  "a",
			err:  `p.go: "three" is declared 2 times, not once`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := mutant{
				file: "p.go",
				decl: tt.decl,
				old:  tt.old,
				with: "c",
			}

			changed, err := m.apply([]byte(source))

			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.changed, string(changed))
		})
	}
}

// A mutant counts as caught where its test fails, and in no other case.
func TestMutant_IsCaughtByItsTestAlone(t *testing.T) {
	t.Parallel()
	c := &checker{
		root: t.TempDir(),
		temp: t.TempDir(),
		env:  os.Environ(),
	}
	for path, text := range map[string]string{
		"go.mod":      "module m\n",
		"p/p.go":      "package p\n\nfunc one() int { return 1 }\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) {\n\tif one() != 1 {\n\t\tt.Fail()\n\t}\n}\n",
		"p/q_test.go": "package p\n\nimport \"testing\"\n\nfunc TestNothing(*testing.T) {}\n\nfunc TestBad(t *testing.T) { t.Fail() }\n",
	} {
		path = filepath.Join(c.root, filepath.FromSlash(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	for _, tt := range []struct {
		with, test string
		want       verdict
		says       string
	}{
		{
			with: "2",
			test: "p.TestOne",
			want: caught,
		},
		{
			with: "2",
			test: "p.TestNothing",
			want: survived,
		},
		{
			with: "2",
			test: "p.TestNotThere",
			want: failed,
			says: "p.TestNotThere did not run to its end",
		},
		{
			with: "two",
			test: "p.TestOne",
			want: failed,
			says: "undefined: two",
		},
		{
			with: "func() int { go panic(1); select {} }()",
			test: "p.TestOne",
			want: failed,
			says: "panic",
		},
	} {
		t.Run(tt.with+" and "+tt.test, func(t *testing.T) {
			t.Parallel()

			r := c.check(t.Context(), mutant{
				file: "p/p.go",
				decl: "one",
				old:  "1",
				with: tt.with,
				test: tt.test,
			})

			require.Equal(t, tt.want, r.verdict, r.err)
			if tt.says != "" {
				require.ErrorContains(t, r.err, tt.says)
			}
		})
	}

	require.NoError(t, c.passUnchanged(t.Context(), []mutant{{test: "p.TestOne"}, {test: "p.TestNothing"}}))
	require.ErrorContains(t, c.passUnchanged(t.Context(), []mutant{{test: "p.TestBad"}}), "p.TestBad fails")
}
