package manifest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the text, it is read or refused by lines that are in it; what is read
// once is read again the same; what JSON is, is read as JSON.
func FuzzParse_ReadsTheSameAgainOrRefusesByLines(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		entries, err := os.ReadDir("testdata/" + folder)
		require.NoError(f, err)
		for _, entry := range entries {
			text, err := os.ReadFile("testdata/" + folder + "/" + entry.Name())
			require.NoError(f, err)
			f.Add(text)
		}
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("name: *secret\n"))
	f.Add([]byte("subscriptions: {? {a: b} : {}}\n"))
	f.Add([]byte("sites: [&a /a, *a]\n--- {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		const secret = "FUZZ-SECRET-VALUE"
		env := func(string) (string, bool) { return secret, true }
		m, err := Parse("f", text, &ParseOpts{Env: env})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			require.NotContains(t, err.Error(), secret)
			var all Errors
			require.ErrorAs(t, err, &all)
			lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") +
				strings.Count(string(text), "\u0085") + strings.Count(string(text), "\u2028") + strings.Count(string(text), "\u2029") + 1
			for _, one := range all {
				require.True(t, one.Line >= 1 && one.Line <= lines+1, one.Error())
				require.GreaterOrEqual(t, one.Column, 1, one.Error())
			}
			return
		}
		again, err := Parse("f", text, &ParseOpts{Env: env})
		require.NoError(t, err)
		require.Equal(t, m, again)
		if json.Valid(text) && m.name != "" {
			var doc struct{ Name *string }
			require.NoError(t, json.Unmarshal(text, &doc))
			if doc.Name != nil && strings.Contains(string(text), `"name"`) {
				require.Equal(t, *doc.Name, m.name)
			}
		}
	})
}
