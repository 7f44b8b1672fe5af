package manifest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jsonschema"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// asJSON is a file as a validator in an editor sees it.
func asJSON(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	r := &reader{file: path, places: places{}}
	doc, ok := r.any(value{node: r.load(text)}, 0)
	require.True(t, ok)
	require.Empty(t, r.errs)
	out, err := json.Marshal(doc)
	require.NoError(t, err)
	return out
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.Compile(Schema(), "")
	require.NoError(t, err)
	require.Equal(t, jsonschema.Draft2020_12, s.Draft)
	return s
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func TestSchema_TakesWhatParseTakes(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for _, name := range files(t, "valid") {
		_, err := Load(name, &ParseOpts{Env: full.lookup})
		require.NoError(t, err, name)
		require.NoError(t, s.Validate(asJSON(t, name)), name)
	}
}

func TestSchema_RefusesWhatParseRefuses(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for _, name := range files(t, "invalid") {
		_, err := Load(name, &ParseOpts{Env: full.lookup})
		require.ErrorIs(t, err, ErrInvalid, name)
		require.Error(t, s.Validate(asJSON(t, name)), name)
	}
}

// Each object of the schema has the fields that Parse says it knows, and the file
// with everything has each of them.
func TestSchema_HasTheFieldsThatParseKnows(t *testing.T) {
	t.Parallel()
	var doc any
	require.NoError(t, json.Unmarshal(Schema(), &doc))
	var everything any
	require.NoError(t, json.Unmarshal(asJSON(t, "testdata/valid/everything.yaml"), &everything))
	for place, tt := range map[string]struct{ schema, probe string }{
		"":                         {"", `{"?": 1}`},
		"event_types/user.created": {"$defs/eventType", `{"event_types": {"a.b": {"?": 1}}}`},
		"event_types/user.created/schemas/0": {
			"$defs/eventType/properties/schemas/items", `{"event_types": {"a.b": {"schemas": [{"?": 1}]}}}`,
		},
		"servo":             {"properties/servo", `{"servo": {"?": 1}}`},
		"subscriptions/crm": {"$defs/subscription", `{"subscriptions": {"a": {"?": 1}}}`},
		"subscriptions/crm/credentials/oauth2": {
			"$defs/credentials/properties/oauth2", `{"subscriptions": {"a": {"credentials": {"oauth2": {"?": 1}}}}}`,
		},
		"subscriptions/billing (EU)/credentials": {"$defs/credentials", `{"subscriptions": {"a": {"credentials": {"?": 1}}}}`},
		"subscriptions/billing (EU)/credentials/basic": {
			"$defs/credentials/properties/basic", `{"subscriptions": {"a": {"credentials": {"basic": {"?": 1}}}}}`,
		},
		"subscriptions/crm/deactivation": {"$defs/deactivation", `{"subscriptions": {"a": {"deactivation": {"?": 1}}}}`},
		"subscriptions/crm/tls":          {"$defs/tls", `{"subscriptions": {"a": {"tls": {"?": 1}}}}`},
		"webhooks/0":                     {"$defs/webhook", `{"webhooks": [{"?": 1}]}`},
		"webhooks/0/backoff":             {"$defs/webhook/properties/backoff/anyOf/1", `{"webhooks": [{"backoff": {"?": 1}}]}`},
	} {
		_, err := Parse("f", []byte(tt.probe), nil)
		require.Error(t, err)
		_, known, _ := strings.Cut(err.Error(), "known are ")
		known, _, _ = strings.Cut(known, "\n")
		object := at(t, doc, tt.schema).(map[string]any)
		require.Equal(t, false, object["additionalProperties"], place)
		require.Equal(t, strings.Split(known, ", "), slices.Sorted(maps.Keys(object["properties"].(map[string]any))), place)

		used := at(t, everything, place).(map[string]any)
		for field := range object["properties"].(map[string]any) {
			if _, ok := used[field]; !ok && !slices.Contains(elsewhere[place], field) {
				require.Failf(t, "a field is in no example", "%s of %s", field, place)
			}
		}
	}
}

// elsewhere are fields that exclude others which the place has: they are in another
// entry.
var elsewhere = map[string][]string{
	"event_types/user.created/schemas/0":     nil,
	"subscriptions/billing (EU)/credentials": {"bearer", "oauth2"},
	"subscriptions/crm":                      {"operator"},
	"webhooks/0":                             {"channels", "response_channel"},
}

// at follows a path of names and numbers.
func at(t *testing.T, doc any, path string) any {
	t.Helper()
	for name := range strings.SplitSeq(path, "/") {
		switch d := doc.(type) {
		case map[string]any:
			if name != "" {
				doc = d[name]
			}
		case []any:
			doc = d[int(name[0]-'0')]
		}
	}
	require.NotNil(t, doc, path)
	return doc
}

// TestSchema_EachFieldOfASubscriptionHasAPlaceInAFile fails when subscription.Spec
// gets a field that manifests cannot have, or one under another name.
func TestSchema_EachFieldOfASubscriptionHasAPlaceInAFile(t *testing.T) {
	t.Parallel()
	want := []string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[subscription.Spec]()) {
		want = append(want, snake(field.Name))
	}
	slices.Sort(want)
	r := &reader{}
	require.Equal(t, want, slices.Sorted(maps.Keys(r.spec(&subscription.Spec{}))))

	// What Update can change is compared field by field.
	for _, field := range reflect.VisibleFields(reflect.TypeFor[subscription.Update]()) {
		require.Contains(t, want, snake(field.Name))
	}
}

// TestSchema_EachFieldOfAnEventTypeHasAPlaceInAFile fails when outbox.EventType gets a field
// that manifests cannot have, or one under another name.
func TestSchema_EachFieldOfAnEventTypeHasAPlaceInAFile(t *testing.T) {
	t.Parallel()
	var doc struct {
		Defs struct {
			EventType struct{ Properties map[string]any } `json:"eventType"`
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(Schema(), &doc))
	others := map[string]string{
		"ArchivedAt": "is archived", "CreatedAt": "is the store's", "Name": "is the key", "UpdatedAt": "is the store's",
	}
	want := []string{"archived"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[outbox.EventType]()) {
		if others[field.Name] == "" {
			want = append(want, snake(field.Name))
		}
	}
	slices.Sort(want)
	require.Equal(t, want, slices.Sorted(maps.Keys(doc.Defs.EventType.Properties)))
}

func TestSchema_EditorsFindIt(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/valid/everything.yaml")
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(text), "\n")
	path, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
	require.True(t, ok)
	found, err := os.ReadFile(filepath.Join("testdata", "valid", filepath.FromSlash(path)))
	require.NoError(t, err)
	require.Equal(t, string(Schema()), string(found))
}
