package attempt

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzVetoReason_IsOneLineFitToBeShown(f *testing.F) {
	for _, seed := range []string{
		``, `{"reason":"no"}`, `{"reason":7}`, `{"reason":"\u202e\ud800\u0000\n no"}`, "{\"reason\":\"\xff\"}", `null`, `[]`,
		`{"reason":"` + strings.Repeat("e\u0301", 600) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reason := VetoReason(body)
		require.True(t, utf8.ValidString(reason))
		require.LessOrEqual(t, utf8.RuneCountInString(reason), maxVetoReason+len("..."))
		require.Equal(t, strings.TrimSpace(reason), reason)
		for _, r := range reason {
			require.True(t, unicode.IsPrint(r), "%q", r)
		}
	})
}
