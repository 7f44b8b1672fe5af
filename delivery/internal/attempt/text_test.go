package attempt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
