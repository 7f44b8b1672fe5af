package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// mutant is one way to break a promise.
type mutant struct {
	name string // what the library does then
	file string // from the module's root, with slashes
	decl string // the function or constant of file that changes; "": all of the file
	old  string // is there exactly once
	with string // what takes its place
	test string // the test that must fail, with its folder in front: delivery.TestX
}

// apply returns the file's text with the change.
func (m *mutant) apply(text []byte) ([]byte, error) {
	from, to := 0, len(text)
	if m.decl != "" {
		var err error
		if from, to, err = find(m.decl, text); err != nil {
			return nil, fmt.Errorf("%s: %w", m.file, err)
		}
	}
	part := text[from:to]
	if n := bytes.Count(part, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %q is there %d times, not once", strings.TrimSuffix(m.file+" "+m.decl, " "), m.old, n)
	}
	changed := bytes.Replace(part, []byte(m.old), []byte(m.with), 1)
	return bytes.Join([][]byte{text[:from], changed, text[to:]}, nil), nil
}

// find returns where the one declaration of a name begins and ends.
func find(name string, text []byte) (from, to int, err error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
	if err != nil {
		return 0, 0, err
	}
	found := 0
	for _, decl := range parsed.Decls {
		if declares(decl, name) {
			found++
			from, to = fset.Position(decl.Pos()).Offset, fset.Position(decl.End()).Offset
		}
	}
	if found != 1 {
		return 0, 0, fmt.Errorf("%q is declared %d times, not once", name, found)
	}
	return from, to, nil
}

func declares(decl ast.Decl, name string) bool {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok {
				for _, ident := range value.Names {
					if ident.Name == name {
						return true
					}
				}
			}
		}
	}
	return false
}

// folder is the package of the mutant's test, from the module's root.
func (m *mutant) folder() string { return m.test[:strings.LastIndex(m.test, ".")] }

// testName is the name of the mutant's test.
func (m *mutant) testName() string { return m.test[strings.LastIndex(m.test, ".")+1:] }
