package layout_test

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// enumeration says where the values of a column are constants of Go.
type enumeration struct {
	folder string
	name   string   // of their type; or what their names begin with
	less   []string // values that the column does not have
	empty  bool     // whether the column also has "", for none
}

// enumerations has each column whose values a CHECK lists.
var enumerations = map[string]enumeration{
	"attempt.outcome": {folder: "delivery/internal/attempt", name: "Outcome"},
	"decision.outcome": {
		folder: "delivery/internal/decide",
		name:   "Outcome",
		less:   []string{"deliver"},
	},
	"delivery.hold": {
		folder: "delivery/internal/attempt",
		name:   "Hold",
		empty:  true,
	},
	"delivery.state":     {folder: "delivery/internal/attempt", name: "State"},
	"endpoint_auth.kind": {folder: "internal/endpointauth", name: "Kind"},
	"event_schema.draft": {folder: "internal/jsonschema", name: "Draft"},
	"event_type.payloads": {
		folder: "event",
		name:   "Keep",
		empty:  true,
	},
	"inbox_event.state": {folder: "receiver", name: "State"},
	"intent.gone": {
		folder: "delivery",
		name:   "PayloadState",
		less:   []string{"kept"},
	},
	"intent_state.keep": {
		folder: "event",
		name:   "Keep",
		less:   []string{"body"},
	},
	"intent_state.state": {folder: "delivery/internal/expand", name: "IntentState"},
	"subscription.state": {folder: "subscription", name: "State"},
}

func TestEnumerations_OfTheSchemaAreThoseOfGo(t *testing.T) {
	t.Parallel()
	checks := schemaChecks(t)
	require.Equal(t, slices.Sorted(maps.Keys(checks)), slices.Sorted(maps.Keys(enumerations)))
	files := goFiles(t)
	for column, e := range enumerations {
		values := slices.DeleteFunc(constants(files, e), func(value string) bool { return slices.Contains(e.less, value) })
		if e.empty {
			values = append(values, "")
		}
		slices.Sort(values)
		slices.Sort(checks[column])
		require.Equal(t, values, checks[column], "%s, and %s.%s", column, e.folder, e.name)
	}
}

// The lists of all states and holds of a delivery are whole.
func TestEnumerations_ListsAreWhole(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.path != "delivery/internal/attempt/state.go" {
			continue
		}
		names := map[string][]string{} // by type: of its constants, and of its list
		ast.Inspect(f.parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if typ, ok := n.Type.(*ast.Ident); ok {
					names[typ.Name] = append(names[typ.Name], n.Names[0].Name)
				}
			case *ast.CompositeLit:
				for _, elt := range n.Elts {
					list := n.Type.(*ast.ArrayType).Elt.(*ast.Ident).Name + "s"
					names[list] = append(names[list], elt.(*ast.Ident).Name)
				}
			}
			return true
		})
		require.NotEmpty(t, names["Hold"])
		require.ElementsMatch(t, names["Hold"], names["Holds"])
		require.ElementsMatch(t, names["State"], names["States"])
		return
	}
	t.Fatal("the file is not there")
}

// constants returns the values of an enumeration in Go.
func constants(files []goFile, e enumeration) (values []string) {
	for _, f := range files {
		if path.Dir(f.path) != e.folder {
			continue
		}
		for _, decl := range f.parsed.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				typ, _ := value.Type.(*ast.Ident)
				if len(value.Values) != 1 || typ != nil && typ.Name != e.name ||
					typ == nil && (value.Type != nil || !strings.HasPrefix(value.Names[0].Name, e.name)) {
					continue
				}
				if lit, ok := value.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					if err == nil {
						values = append(values, text)
					}
				}
			}
		}
	}
	return values
}

// schemaChecks returns the values that CHECK constraints list, by table and column.
func schemaChecks(t *testing.T) map[string][]string {
	t.Helper()
	checks := map[string][]string{}
	for _, file := range sqlFiles(t, migrationFolder) {
		all := tokens(readFile(t, file))
		table := ""
		for i := range all[:max(len(all)-5, 0)] {
			switch {
			case all[i].is("CREATE", "ALTER") && all[i+1].is("TABLE"):
				table = all[i+2].text
			case all[i].is("CHECK") && all[i+1].kind == '(' && all[i+3].is("IN"):
				column := table + "." + all[i+2].text
				for j := i + 5; all[j].kind == 't' || all[j].kind == ','; j++ {
					if all[j].kind == 't' {
						checks[column] = append(checks[column], all[j].text)
					}
				}
			}
		}
	}
	return checks
}
