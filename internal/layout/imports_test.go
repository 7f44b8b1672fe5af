// Package layout_test checks what no compiler does: which package may import
// which, how long files are, and that the documents are true.
package layout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/riverhook/riverhook"
)

// A direction says what a folder's packages, their test kits included, may
// link. x/* stands for the packages below x but for those in unlinked.
type direction struct {
	ours   []string // of our packages, apart from itself; nil is none
	theirs []string // of modules; nil is any
	http   bool     // whether net/http may be linked
}

var (
	stdlibOnly = []string{}

	// interpreter is CEL with what it links. Only those who evaluate filters link
	// it: producers and receivers do not.
	interpreter = []string{
		"cel.dev/cel-go", "cel.dev/expr", "github.com/antlr4-go/antlr/v4", "google.golang.org/genproto", "google.golang.org/protobuf",
	}
	interpreting = []string{
		"delivery", "delivery/internal/decide", "delivery/internal/expand", "delivery/internal/gates", "delivery/internal/send", "filter",
	}

	// One row for each folder of packages: a new one needs a new row. The row of a
	// folder within another one counts for it alone.
	directions = map[string]direction{
		"access": {theirs: stdlibOnly},
		"delivery": {
			ours: []string{
				"access", "delivery/internal/*", "dialect", "egress", "event", "filter", "hierarchy", "internal/*", "seal",
				"subscription",
			},
			http: true,
		},
		"dialect": {
			ours:   []string{"internal/signing", "internal/text"},
			theirs: stdlibOnly,
			http:   true,
		},
		"egress": {
			ours:   []string{"internal/exchange"},
			theirs: []string{"code.dny.dev/ssrf"},
			http:   true,
		},
		"event": {
			ours:   []string{"internal/eventtype", "internal/text"},
			theirs: stdlibOnly,
		},
		"filter":    {theirs: slices.Concat(interpreter, []string{"go.yaml.in/yaml/v3", "golang.org/x/exp"})},
		"hierarchy": {ours: []string{"access", "event", "internal/*"}},
		"internal":  {ours: []string{"internal/*", "seal"}},
		"manifest": {
			ours: []string{"access", "event", "hierarchy", "internal/*", "outbox", "seal", "subscription"},
		},
		"outbox": {ours: []string{"access", "event", "hierarchy", "internal/*"}},
		"receiver": {
			ours:   []string{"dialect", "internal/notfound", "internal/signing", "internal/text"},
			theirs: stdlibOnly,
			http:   true,
		},
		"seal":         {theirs: stdlibOnly},
		"subscription": {ours: []string{"access", "event", "hierarchy", "internal/*", "seal"}},

		"internal/resolve":  {ours: []string{"access", "event", "internal/*"}},
		"internal/sitetree": {ours: []string{"access", "internal/*"}},

		"delivery/internal/attempt": {
			ours:   []string{"delivery/internal/callbacks", "dialect", "internal/signing", "internal/text"},
			theirs: []string{"github.com/google/uuid"},
			http:   true, // the names of headers and statuses
		},
		"delivery/internal/callbacks": {theirs: []string{"github.com/google/uuid"}},
		"delivery/internal/decide": {
			ours: []string{
				"access", "delivery/internal/attempt", "delivery/internal/callbacks", "dialect", "event", "filter", "hierarchy",
				"internal/*", "seal", "subscription",
			},
			http: true,
		},
		"delivery/internal/expand": {
			ours: []string{
				"access", "delivery/internal/attempt", "delivery/internal/callbacks", "delivery/internal/credentials",
				"delivery/internal/decide", "delivery/internal/payloads", "delivery/internal/rates",
				"delivery/internal/record",
				"delivery/internal/send",
				"delivery/internal/slots", "delivery/internal/turns", "dialect", "egress", "event", "filter", "hierarchy", "internal/*", "seal",
				"subscription",
			},
			http: true,
		},
		"delivery/internal/gates": {
			ours: []string{
				"access", "delivery/internal/attempt", "delivery/internal/callbacks", "delivery/internal/credentials",
				"delivery/internal/decide", "delivery/internal/expand", "delivery/internal/payloads", "delivery/internal/rates",
				"delivery/internal/record",
				"delivery/internal/send", "delivery/internal/slots", "delivery/internal/turns", "dialect", "egress", "event",
				"filter", "hierarchy", "internal/*", "seal", "subscription",
			},
			http: true,
		},
		"delivery/internal/send": {
			ours: []string{
				"access", "delivery/internal/attempt", "delivery/internal/callbacks", "delivery/internal/credentials",
				"delivery/internal/decide", "delivery/internal/payloads", "delivery/internal/rates", "delivery/internal/record",
				"delivery/internal/slots",
				"delivery/internal/turns", "dialect", "egress", "event", "filter", "hierarchy", "internal/*", "seal", "subscription",
			},
			http: true,
		},

		"receiver/pginbox": {ours: []string{"dialect", "internal/*", "receiver", "seal"}, http: true},
	}

	// programs are what nothing imports: they may link everything.
	programs = []string{
		"cmd", "example", "internal/bench", "internal/http2test", "internal/layout", "internal/mutants", "internal/pgserver", "internal/pgtest",
	}

	// unlinked may only be linked by tests and by programs.
	unlinked = []string{
		module + "/internal/hostile",
		module + "/internal/http2test",
		module + "/internal/pgserver",
		module + "/internal/pgtest",
		"github.com/fergusstrange/embedded-postgres",
		"github.com/lib/pq",
		"github.com/stretchr/testify",
		"github.com/testcontainers/testcontainers-go",
		"github.com/tink-crypto/tink-go/v2",
		"go.uber.org/goleak",
		"pgregory.net/rapid",
	}
)

type listed struct {
	ImportPath string   `json:"ImportPath"`
	Deps       []string `json:"Deps"`
	Standard   bool     `json:"Standard"`
}

func TestImports_RunDownward(t *testing.T) {
	t.Parallel()

	packages := list(t)

	folders := map[string]bool{}
	for _, p := range packages {
		if rel, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
			folders[row(rel)] = true
		}
	}
	for folder := range directions {
		require.True(t, folders[folder], "directions has a row for %q, where no package is", folder)
	}

	require.Empty(t, strings.Join(violations(packages), "\n"))
}

func TestImports_AWrongOneIsFound(t *testing.T) {
	t.Parallel()

	const (
		cel     = "cel.dev/cel-go/cel"
		ssrf    = "code.dny.dev/ssrf"
		testify = "github.com/stretchr/testify/require"
		uuid    = "github.com/google/uuid"
	)

	for _, tt := range []struct {
		name, from, to string
		ok             bool
	}{
		{
			name: "access links a module",
			from: "access",
			to:   uuid,
		},
		{
			name: "access links hierarchy",
			from: "access",
			to:   module + "/hierarchy",
		},
		{
			name: "access links slog",
			from: "access",
			to:   "log/slog",
			ok:   true,
		},
		{
			name: "accesstest links access",
			from: "access/accesstest",
			to:   module + "/access",
			ok:   true,
		},
		{
			name: "accesstest links testify",
			from: "access/accesstest",
			to:   testify,
		},
		{
			name: "delivery links egress",
			from: "delivery",
			to:   module + "/egress",
			ok:   true,
		},
		{
			name: "delivery links net/http",
			from: "delivery",
			to:   "net/http",
			ok:   true,
		},
		{
			name: "delivery links outbox",
			from: "delivery",
			to:   module + "/outbox",
		},
		{
			name: "delivery links Postgres for tests",
			from: "delivery",
			to:   module + "/internal/pgtest",
		},
		{
			name: "deliverytest links testify",
			from: "delivery/deliverytest",
			to:   testify,
		},
		{
			name: "dialect links a module",
			from: "dialect",
			to:   uuid,
		},
		{
			name: "dialect links net/http",
			from: "dialect",
			to:   "net/http",
			ok:   true,
		},
		{
			name: "egress links another module",
			from: "egress",
			to:   uuid,
		},
		{
			name: "egress links ssrf",
			from: "egress",
			to:   ssrf,
			ok:   true,
		},
		{
			name: "example links everything",
			from: "example/orgdirectory",
			to:   module + "/internal/pgtest",
			ok:   true,
		},
		{
			name: "delivery links filter",
			from: "delivery",
			to:   module + "/filter",
			ok:   true,
		},
		{
			name: "delivery links CEL",
			from: "delivery",
			to:   cel,
			ok:   true,
		},
		{
			name: "filter links CEL",
			from: "filter",
			to:   cel,
			ok:   true,
		},
		{
			name: "filter links another module",
			from: "filter",
			to:   uuid,
		},
		{
			name: "filter links hierarchy",
			from: "filter",
			to:   module + "/hierarchy",
		},
		{
			name: "filter links net/http",
			from: "filter",
			to:   "net/http",
		},
		{
			name: "hierarchy links CEL",
			from: "hierarchy",
			to:   cel,
		},
		{
			name: "hierarchy links filter",
			from: "hierarchy",
			to:   module + "/filter",
		},
		{
			name: "outbox links CEL",
			from: "outbox",
			to:   cel,
		},
		{
			name: "outbox links filter",
			from: "outbox",
			to:   module + "/filter",
		},
		{
			name: "the store links CEL",
			from: "internal/store",
			to:   cel,
		},
		{
			name: "the Postgres inbox links CEL",
			from: "receiver/pginbox",
			to:   cel,
		},
		{
			name: "hierarchy links access",
			from: "hierarchy",
			to:   module + "/access",
			ok:   true,
		},
		{
			name: "hierarchy links egress",
			from: "hierarchy",
			to:   module + "/egress",
		},
		{
			name: "hierarchy links net/http",
			from: "hierarchy",
			to:   "net/http",
		},
		{
			name: "hierarchy links the store",
			from: "hierarchy",
			to:   module + "/internal/store",
			ok:   true,
		},
		{
			name: "hierarchy links subscription",
			from: "hierarchy",
			to:   module + "/subscription",
		},
		{
			name: "hierarchy links seal",
			from: "hierarchy",
			to:   module + "/seal",
		},
		{
			name: "subscription links hierarchy",
			from: "subscription",
			to:   module + "/hierarchy",
			ok:   true,
		},
		{
			name: "subscription links CEL",
			from: "subscription",
			to:   cel,
		},
		{
			name: "subscription links egress",
			from: "subscription",
			to:   module + "/egress",
		},
		{
			name: "subscription links filter",
			from: "subscription",
			to:   module + "/filter",
		},
		{
			name: "subscription links net/http",
			from: "subscription",
			to:   "net/http",
		},
		{
			name: "outbox links subscription",
			from: "outbox",
			to:   module + "/subscription",
		},
		{
			name: "manifest links delivery",
			from: "manifest",
			to:   module + "/delivery",
		},
		{
			name: "manifest links net/http",
			from: "manifest",
			to:   "net/http",
		},
		{
			name: "manifest links outbox",
			from: "manifest",
			to:   module + "/outbox",
			ok:   true,
		},
		{
			name: "outbox links manifest",
			from: "outbox",
			to:   module + "/manifest",
		},
		{
			name: "outbox links delivery",
			from: "outbox",
			to:   module + "/delivery",
		},
		{
			name: "outbox links dialect",
			from: "outbox",
			to:   module + "/dialect",
		},
		{
			name: "outbox links hierarchy",
			from: "outbox",
			to:   module + "/hierarchy",
			ok:   true,
		},
		{
			name: "outbox links net/http",
			from: "outbox",
			to:   "net/http",
		},
		{
			name: "receiver links a module",
			from: "receiver",
			to:   uuid,
		},
		{
			name: "receiver links dialect",
			from: "receiver",
			to:   module + "/dialect",
			ok:   true,
		},
		{
			name: "receiver links its Postgres inbox",
			from: "receiver",
			to:   module + "/receiver/pginbox",
		},
		{
			name: "receiver links the store",
			from: "receiver",
			to:   module + "/internal/store",
		},
		{
			name: "receivertest links receiver",
			from: "receiver/receivertest",
			to:   module + "/receiver",
			ok:   true,
		},
		{
			name: "receivertest links testify",
			from: "receiver/receivertest",
			to:   testify,
		},
		{
			name: "the Postgres inbox links delivery",
			from: "receiver/pginbox",
			to:   module + "/delivery",
		},
		{
			name: "the Postgres inbox links receiver",
			from: "receiver/pginbox",
			to:   module + "/receiver",
			ok:   true,
		},
		{
			name: "the Postgres inbox links the store",
			from: "receiver/pginbox",
			to:   module + "/internal/store",
			ok:   true,
		},
		{
			name: "seal links a module",
			from: "seal",
			to:   uuid,
		},
		{
			name: "seal links net/http",
			from: "seal",
			to:   "net/http",
		},
		{
			name: "the jobs link outbox",
			from: "internal/jobs",
			to:   module + "/outbox",
		},
		{
			name: "the root links anything of ours",
			from: ".",
			to:   module + "/outbox",
		},
		{
			name: "the sealed values link seal",
			from: "internal/sealed",
			to:   module + "/seal",
			ok:   true,
		},
		{
			name: "the store links a module",
			from: "internal/store",
			to:   uuid,
			ok:   true,
		},
		{
			name: "unknown folder",
			from: "util",
			to:   "fmt",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			from := strings.TrimSuffix(module+"/"+tt.from, "/.")
			found := violations([]listed{
				{ImportPath: from, Deps: []string{tt.to}},
				{ImportPath: tt.to, Standard: !strings.Contains(tt.to, ".")},
			})
			if tt.ok {
				require.Empty(t, found)
			} else {
				require.Len(t, found, 1)
				require.Contains(t, found[0], from)
			}
		})
	}
}

// violations says, a line each, which of our packages links what it must not.
func violations(packages []listed) []string {
	standard := map[string]bool{}
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
	}

	var found []string
	for _, p := range packages {
		if !within(p.ImportPath, module) {
			continue
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if within(rel, programs...) {
			continue
		}
		folder := row(rel)
		rule, ok := directions[folder]
		if !ok {
			known := slices.Sorted(maps.Keys(directions))
			found = append(found, fmt.Sprintf("%s: no row in directions says what %q may link; there are %v", p.ImportPath, folder, known))
			continue
		}
		for _, dep := range p.Deps {
			if why := rule.forbids(folder, dep, standard[dep]); why != "" {
				found = append(found, fmt.Sprintf("%s links %s: %s", p.ImportPath, dep, why))
			}
		}
	}
	return found
}

func (d direction) forbids(folder, dep string, standard bool) string {
	switch {
	case within(dep, unlinked...):
		return "only tests and programs may"
	case within(dep, interpreter...) && !slices.Contains(interpreting, folder):
		return fmt.Sprintf("only %v may", interpreting)
	case within(dep, module):
		rel := strings.TrimPrefix(strings.TrimPrefix(dep, module), "/")
		if row(rel) == folder || slices.Contains(d.ours, rel) {
			return ""
		}
		for _, ours := range d.ours {
			if parent, all := strings.CutSuffix(ours, "/*"); all && within(rel, parent) && !within(rel, programs...) {
				return ""
			}
		}
		return "imports run downward"
	case dep == "net/http" && !d.http:
		return "it makes no requests"
	case standard || d.theirs == nil || within(dep, d.theirs...):
		return ""
	default:
		return fmt.Sprintf("of other modules it may link %v", d.theirs)
	}
}

// row returns the folder whose row of directions counts for a package: the
// innermost one that has a row, else the outermost.
func row(rel string) string {
	for folder := rel; ; folder = path.Dir(folder) {
		if _, ok := directions[folder]; ok || !strings.Contains(folder, "/") {
			return folder
		}
	}
}

// within reports whether p is one of the folders or below one of them.
func within(p string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return p == folder || strings.HasPrefix(p, folder+"/")
	})
}

// list returns our packages and all that they link, as the build sees them
// without tests.
func list(t *testing.T) []listed {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Deps,Standard", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	var packages []listed
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
