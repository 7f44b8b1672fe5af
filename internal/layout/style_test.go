package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A struct with three fields or more has each on a line of its own, so that a
// change of one is a change of one line.
func TestStyle_OneKeyedFieldALine(t *testing.T) {
	t.Parallel()
	require.Empty(t, inEachFile(t, func(fset *token.FileSet, n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		return ok && len(lit.Elts) >= 3 && sharesALine(fset, lit.Elts)
	}))
}

// Three values that belong together are the fields of something.
func TestStyle_NoParallelAssignmentOfThree(t *testing.T) {
	t.Parallel()
	require.Empty(t, inEachFile(t, func(_ *token.FileSet, n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		return ok && len(assign.Lhs) >= 3 && len(assign.Rhs) >= 3
	}))
}

// sharesALine is true of keyed fields of which two begin or end on one line.
func sharesALine(fset *token.FileSet, elts []ast.Expr) bool {
	shares := false
	for i, elt := range elts {
		pair, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		if _, ok := pair.Key.(*ast.Ident); !ok {
			return false
		}
		shares = shares || i > 0 && fset.Position(elts[i-1].End()).Line == fset.Position(elt.Pos()).Line
	}
	return shares
}

// inEachFile is where a node is found in a file that somebody has written.
func inEachFile(t *testing.T, found func(fset *token.FileSet, n ast.Node) bool) (at []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() != ".." && entry.Name()[0] == '.' {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if ast.IsGenerated(file) {
			return nil
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil && found(fset, n) {
				at = append(at, fset.Position(n.Pos()).String())
			}
			return true
		})
		return nil
	}))
	return at
}
