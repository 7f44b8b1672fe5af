package signing_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/signing"
)

const (
	sharedText  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	privateText = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publicText  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func TestReadSecret_TakesEachFormAndEachText(t *testing.T) {
	t.Parallel()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sharedText, "whsec_"))
	require.NoError(t, err)
	for text, want := range map[string]struct {
		key    string
		kind   signing.Kind
		isText bool
	}{
		sharedText:                               {string(raw), signing.HMAC, false},
		strings.TrimPrefix(sharedText, "whsec_"): {string(raw), signing.HMAC, false},
		"s3cr3t!":                                {"s3cr3t!", signing.HMAC, true},
		"whsec_short":                            {"whsec_short", signing.HMAC, true},
		"cGFzc3dvcmQ=":                           {"cGFzc3dvcmQ=", signing.HMAC, true}, // of 8 bytes
		publicText:                               {publicText, signing.HMAC, true},
	} {
		secret, err := signing.ReadSecret(text)
		require.NoError(t, err)
		require.Equal(t, text, secret.Reveal())
		require.Equal(t, want.key, string(secret.Key()), text)
		require.Equal(t, want.kind, secret.Kind())
		require.Equal(t, want.isText, secret.IsText(), text)
		require.True(t, secret.PublicKey().IsZero())
		require.Equal(t, "[redacted]", fmt.Sprintf("%+v", secret))
	}
	private, err := signing.ReadSecret(privateText)
	require.NoError(t, err)
	require.Equal(t, signing.Ed25519, private.Kind())
	require.Equal(t, publicText, private.PublicKey().String())
	require.Equal(t, privateText, private.Reveal())
	for _, text := range []string{"", "\n", "s3cret\n", sharedText + "\n"} {
		_, err := signing.ReadSecret(text)
		require.ErrorIs(t, err, signing.ErrInvalidSecret, "%q", text)
	}
}

func TestSecret_TheZeroValueIsNone(t *testing.T) {
	t.Parallel()
	var none signing.Secret
	text, err := json.Marshal(struct{ Secret signing.Secret }{})
	require.NoError(t, err)
	require.JSONEq(t, `{"Secret": ""}`, string(text))
	require.Empty(t, fmt.Sprintf("%v%s%#v", none, none, none))
	require.Empty(t, none.Kind())
	require.False(t, none.IsText())
	require.True(t, none.PublicKey().IsZero())
}

func TestRandom_IsAnotherEachTime(t *testing.T) {
	t.Parallel()
	for kind, want := range map[signing.Kind]signing.Kind{"": signing.HMAC, signing.HMAC: signing.HMAC, signing.Ed25519: signing.Ed25519} {
		a, b := signing.Random(kind), signing.Random(kind)
		require.Equal(t, want, a.Kind())
		require.False(t, a.Equal(b))
		again, err := signing.ParseSecret(a.Reveal())
		require.NoError(t, err)
		require.True(t, a.Equal(again))
	}
}
