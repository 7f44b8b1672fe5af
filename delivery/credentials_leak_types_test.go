package delivery_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// What must be seen nowhere: secrets by their bytes and texts, and credentials.
const (
	leakSecret      = "whsec_aHVudGVyMi5odW50ZXIyLmh1bnRlcjIuaHVudGVyMi4=" // of "hunter2." four times
	leakKey         = "rhseal_aHVudGVyMy5odW50ZXIzLmh1bnRlcjMuaHVudGVyMy4="
	leakPrivate     = "whsk_aHVudGVyNC5odW50ZXI0Lmh1bnRlcjQuaHVudGVyNC5wckGEtlx7g6po8Yf1J9lEZ+JiyOxMYU9vdowwX3fMrg=="
	leakBearer      = "Bearer hunter5"
	leakQuery       = "hunter6"
	leakHeader      = "hunter7"
	leakKeptInClear = `hunter[56]` // by the tables that have URLs of subscriptions
)

// leaks finds the markers as they are, in base64 at any offset, in hexadecimal
// and as a list of decimals.
var leaks = regexp.MustCompile(`hunter|aHVudGVy|h1bnRlc|odW50ZX|(?i:68756e746572)|104 117 110 116|104,117,110,116`)

// holders are values of all exported types that can hold a secret or a
// credential, by package and name.
func holders(t *testing.T) map[string]any {
	t.Helper()
	secret, err := dialect.ParseSecret(leakSecret)
	require.NoError(t, err)
	key, err := seal.ParseKey(leakKey)
	require.NoError(t, err)
	keys, err := seal.NewKeyset(key)
	require.NoError(t, err)
	header := http.Header{"Authorization": {leakBearer}, "X-Own": {"hunter5"}, "Content-Type": {"application/json"}}
	own := map[string]string{"Authorization": leakBearer, "X-Own": "hunter5"}
	url := "https://ada:hunter5@example.com/hook?token=" + leakQuery + "#hunter6"
	sub := subscription.Subscription{
		Headers:       own,
		SecretHeaders: own,
		URL:           url,
		PendingURL:    url,
	}
	return map[string]any{
		"delivery.Config": delivery.Config{Sealer: keys},
		"dialect.Destination": dialect.Destination{
			Headers: own,
			Secrets: []dialect.Secret{secret},
			URL:     url,
		},
		"dialect.Request": dialect.Request{Header: header, URL: url},
		"dialect.Secret":  secret,
		"egress.Proxy": egress.Proxy{
			Password: "hunter5",
			URL:      "http://proxy.internal:3128",
			Username: "hooks",
		},
		"dialect.SignInput":              dialect.SignInput{Secrets: []dialect.Secret{secret}},
		"subscription.Created":           subscription.Created{Secret: secret, Subscription: sub},
		"subscription.RotateOpts":        subscription.RotateOpts{Secret: secret},
		"subscription.Secret":            secret,
		"internal/signing.Secret":        secret,
		"subscription.BasicCredentials":  subscription.BasicCredentials{Username: "ada", Password: "hunter5"},
		"subscription.Credential":        subscription.Credential("hunter5"),
		"subscription.Credentials":       subscription.Credentials{Basic: &subscription.BasicCredentials{Password: "hunter5"}, Bearer: "hunter5"},
		"subscription.EndpointTLS":       subscription.EndpointTLS{Key: "hunter5"},
		"subscription.OAuth2Credentials": subscription.OAuth2Credentials{ClientSecret: "hunter5", TokenURL: url},
		"subscription.Subscription":      sub,
		"subscription.Page":              subscription.Page{Subscriptions: []subscription.Subscription{sub}},
		"subscription.Spec": subscription.Spec{
			Headers:       own,
			Secret:        secret,
			SecretHeaders: own,
			URL:           url,
		},
		"subscription.Update": subscription.Update{
			Headers:       &own,
			SecretHeaders: &own,
			URL:           &url,
		},
		"subscription.Config": subscription.Config{Sealer: keys},
		"seal.Key":            key,
		"seal.Keyset":         keys,
	}
}

// cannotLeak are exported types that name such fields and show nothing by it.
var cannotLeak = map[string]string{
	"delivery.Attempt":           "its headers and URL were redacted before they were recorded",
	"delivery.Delivery":          "has no headers, and a URL without user and query",
	"delivery.DeliveryEvent":     "its URL was redacted when it was made",
	"delivery.Explained":         "is made of what is recorded",
	"delivery.IntentRecord":      "is what the application wrote",
	"delivery.Message":           "its headers come from the event",
	"delivery.SubscriptionEvent": "its URL was redacted when it was made",
	"dialect.BodyHMACConfig":     "its header is the name of one",
	"dialect.Content":            "its headers come from the event",
	"dialect.CustomConfig":       "its headers are the same for all, and written in the program",
	"dialect.Message":            "its headers come from the event",
	"dialect.StripeOpts":         "its header is the name of one",
	"internal/signing.PublicKey": "is public",
}

func TestSecrets_NoTypeShowsOneHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	for name, value := range holders(t) {
		nested := struct {
			Value any
			List  []any
			Map   map[string]any
		}{value, []any{value, &value}, map[string]any{"k": value}}
		for _, v := range []any{value, &value, nested, []any{value}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v"} {
				require.NotRegexp(t, leaks, fmt.Sprintf(verb, v), "%s with %s", name, verb)
			}
			require.NotRegexp(t, leaks, fmt.Errorf("it: %v", v).Error(), name)
			var text bytes.Buffer
			for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&text, nil))} {
				logger.Info("x", slog.Any("value", v), slog.Group("g", slog.Any("value", v)))
			}
			require.NotRegexp(t, leaks, text.String(), name)
			if name == "delivery.Config" || name == "subscription.Config" {
				continue // they have functions, which JSON has not
			}
			encoded, err := json.Marshal(v)
			require.NoError(t, err, name)
			require.NotRegexp(t, leaks, string(encoded), name)
		}
	}
}

// What the test above does not know of cannot be tested by it.
func TestSecrets_EveryTypeThatCanHoldOneIsKnown(t *testing.T) {
	t.Parallel()
	known := holders(t)
	found := map[string]bool{}
	var unknown []string
	for _, dir := range []string{
		"access", "delivery", "dialect", "egress", "hierarchy", "internal/signing", "outbox", "seal", "subscription",
	} {
		for name := range secretHolders(t, filepath.Join("..", dir)) {
			full := dir + "." + name
			found[full] = true
			if _, ok := cannotLeak[full]; ok {
				continue
			}
			if _, ok := known[full]; !ok {
				unknown = append(unknown, full)
			}
		}
	}
	require.Empty(t, unknown, "they can hold a secret: TestSecrets_NoTypeShowsOneHoweverItIsPrinted must have one of each")
	for full := range cannotLeak {
		require.True(t, found[full], "%s needs no exception", full)
	}
	for _, full := range []string{"delivery.Config", "dialect.Destination", "subscription.Spec"} {
		require.True(t, found[full], "%s is not found", full)
	}
}

var (
	secretType  = regexp.MustCompile(`\b(Secret|Sealer|Key|Keyset|Subscription)\b`)
	secretField = regexp.MustCompile(`(?i)secret|password|token|credential|authorization|^headers?$|^url$|^aeads?$|^key$`)
)

// secretHolders are the exported types of a package that have a field which looks
// like one of a secret, or are one by their name.
func secretHolders(t *testing.T, dir string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	found := map[string]bool{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			switch kind := spec.Type.(type) {
			case *ast.StructType:
				for _, field := range kind.Fields.List {
					holds := secretType.MatchString(types.ExprString(field.Type))
					for _, name := range field.Names {
						holds = holds || secretField.MatchString(name.Name)
					}
					found[spec.Name.Name] = found[spec.Name.Name] || holds && !isFunc(field.Type)
				}
			case *ast.Ident, *ast.ArrayType:
				found[spec.Name.Name] = spec.Name.Name == "Secret"
			}
			return true
		})
	}
	for name, holds := range found {
		if !holds {
			delete(found, name)
		}
	}
	return found
}

func isFunc(e ast.Expr) bool {
	_, ok := e.(*ast.FuncType)
	return ok
}
