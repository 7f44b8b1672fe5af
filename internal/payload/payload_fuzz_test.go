package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzLevels_AreThoseThatADecoderMeets(f *testing.F) {
	for _, seed := range []string{
		`1`, `[]`, `[[],[[]]]`, `{"a":{"b":[]}}`, `"[[["`, `["\"[",{}]`, `{"\\":[["\\"]]}`, `[`, `]]`, `"`, `"\`, ` [ { } ] `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := Levels(text)
		require.GreaterOrEqual(t, got, 0)
		require.LessOrEqual(t, got, bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")))
		if !json.Valid(text) {
			return
		}
		open, deepest := 0, 0
		for dec := json.NewDecoder(bytes.NewReader(text)); ; {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			switch token {
			case json.Delim('['), json.Delim('{'):
				open++
				deepest = max(deepest, open)
			case json.Delim(']'), json.Delim('}'):
				open--
			}
		}
		require.Equal(t, deepest, got)
	})
}
