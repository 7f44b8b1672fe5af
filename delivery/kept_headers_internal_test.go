package delivery

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeptHeadersAreJSONWhateverTheyHold(t *testing.T) {
	t.Parallel()
	kept, complete := newHeaderKeeper([]string{"x-PERSON"}).keep(http.Header{
		"Plain":           {"a", "b"},
		"Quoted":          {`say "no" \ yes`},
		"Control":         {"a\tb\x00c\xff"},
		"Umlaut":          {"é"},
		"x-mine":          {"only its owner's"},
		"Authorization":   {"Bearer s3cret"},
		"odd\"name":       {""},
		"Www-Authenticat": nil,
		"X-Person":        {"ada"},
	}, map[string]string{"X-Mine": ""})
	var got map[string]string
	require.NoError(t, json.Unmarshal([]byte(kept), &got), kept)
	require.Equal(t, map[string]string{
		"Plain":           "a, b",
		"Quoted":          `say "no" \ yes`,
		"Control":         "a\tb\uFFFDc\uFFFD",
		"Umlaut":          "é",
		"x-mine":          "[redacted]",
		"Authorization":   "[redacted]",
		"odd\"name":       "",
		"Www-Authenticat": "",
		"X-Person":        "[redacted]",
	}, got)
	require.True(t, complete)
	kept, complete = newHeaderKeeper(nil).keep(nil, nil)
	require.Equal(t, "{}", kept)
	require.True(t, complete)
}
