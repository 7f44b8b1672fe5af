package attempt

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderRecorder_WritesJSONWhateverHeadersHold(t *testing.T) {
	t.Parallel()
	recorded, complete := NewHeaderRecorder([]string{"x-PERSON"}).Record(http.Header{
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
	require.NoError(t, json.Unmarshal([]byte(recorded), &got), recorded)
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
	recorded, complete = NewHeaderRecorder(nil).Record(nil, nil)
	require.Equal(t, "{}", recorded)
	require.True(t, complete)
}

func TestPublicURL_HasNoSecret(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://a.example/hooks":              "https://a.example/hooks",
		"https://user:pw@a.example/h?t=1#f":    "https://a.example/h?redacted",
		"https://a.example:bad port/?t=s3cret": "",
	} {
		require.Equal(t, want, PublicURL(raw), raw)
	}
}
