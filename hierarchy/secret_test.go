package hierarchy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func secretOfLength(n int) Secret {
	return Secret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, n)))
}

func TestASecretShowsItselfOnlyWhenRevealed(t *testing.T) {
	t.Parallel()
	secret := secretOfLength(32)
	created := Created{Secret: secret, Subscription: Subscription{
		Headers: map[string]string{"Authorization": "Bearer hunter2"}, URL: "https://ada:hunter2@example.com/hook?token=hunter2#hunter2",
	}}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("m", slog.Any("secret", secret), slog.Any("created", created), slog.Any("sub", created.Subscription))
	text, err := json.Marshal(map[string]any{"secret": secret})
	require.NoError(t, err)
	shown := strings.Join([]string{
		fmt.Sprint(secret, []Secret{secret}, created, &created, created.Subscription),
		fmt.Sprintf("%v %+v %#v %s %q %x %d", secret, secret, secret, secret, secret, secret, secret),
		fmt.Sprintf("%v %+v %#v", created, created, created),
		log.String(), string(text),
	}, "\n")
	require.NotContains(t, shown, strings.TrimPrefix(secret.Reveal(), "whsec_"))
	require.NotContains(t, shown, "hunter2")
	require.Contains(t, shown, "[redacted]")
	require.Contains(t, shown, "redacted@example.com/hook?redacted")
	require.Equal(t, string(secret), secret.Reveal())
	require.Empty(t, Secret("").String())
	require.Equal(t, "[redacted]", redactURL("https://[::bad/?token=hunter2"))
}

func TestAGivenSecretHasTheFormOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	for _, good := range []Secret{secretOfLength(24), secretOfLength(25), secretOfLength(64), publishedPrivate} {
		secret, err := secretOrNew(good, "")
		require.NoError(t, err)
		require.Equal(t, good, secret)
	}
	for bad, why := range map[Secret]string{
		secretOfLength(23):                            "has 23 bytes",
		secretOfLength(65):                            "has 65 bytes",
		secretOfLength(32)[6:]:                        `must begin with "whsec_"`,
		secretOfLength(25) + "\n":                     "base64",
		secretOfLength(25)[:41]:                       "base64",
		"whsec_" + "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_": "base64",
		"whsec_":                         "has 0 bytes",
		"whsk_" + secretOfLength(32)[6:]: "a private key has 64",
		"whsk_" + secretOfLength(64)[6:]: "not that of its private key",
		publishedPublic:                  `must begin with "whsec_" or "whsk_"`,
		Secret(publishedPrivate[:len(publishedPrivate)-1]): "base64",
	} {
		_, err := secretOrNew(bad, "")
		require.ErrorIs(t, err, ErrInvalidSubscription)
		require.ErrorContains(t, err, "Secret: ")
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), string(bad))
		require.Empty(t, bad.PublicKey())
	}
}

// The key pair that Svix' documentation shows.
const (
	publishedPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publishedPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func TestAnEd25519SecretHasThePublicKeyOfItsPair(t *testing.T) {
	t.Parallel()
	require.Equal(t, publishedPublic, Secret(publishedPrivate).PublicKey())
	require.Equal(t, SecretEd25519, Secret(publishedPrivate).Kind())
	require.Empty(t, secretOfLength(32).PublicKey())
	require.Equal(t, SecretHMAC, secretOfLength(32).Kind())
	require.Empty(t, Secret("").Kind())
}

func TestANewSecretIsOfItsKindAndNewEachTime(t *testing.T) {
	t.Parallel()
	for kind, length := range map[SecretKind]int{"": 32, SecretHMAC: 32, SecretEd25519: 64} {
		a, err := secretOrNew("", kind)
		require.NoError(t, err)
		b, err := secretOrNew("", kind)
		require.NoError(t, err)
		raw, err := a.bytes()
		require.NoError(t, err)
		require.Len(t, raw, length)
		require.NoError(t, a.check())
		require.NotEqual(t, a, b)
		require.Equal(t, kindOf(a.PublicKey()), a.Kind())
	}
}
