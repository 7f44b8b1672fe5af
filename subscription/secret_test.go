package subscription

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/signing"
)

// secretText is a secret of n bytes; secretOfLength parses it.
func secretText(n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{'k'}, n))
}

func secretOfLength(n int) Secret { return secretOf(secretText(n)) }

func secretOf(text string) Secret {
	secret, err := signing.ReadSecret(text)
	if err != nil {
		panic(err)
	}
	return secret
}

func TestSecret_ShowsItselfOnlyWhenRevealed(t *testing.T) {
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
	require.Equal(t, "[redacted]", redactURL("https://[::bad/?token=hunter2"))
}

func TestSecret_AGivenOneHasTheFormOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	for _, good := range []string{
		secretText(24), secretText(25), secretText(64), strings.TrimPrefix(secretText(32), "whsec_"), publishedPrivate,
	} {
		secret, err := cfg.secretOrNew("standard", secretOf(good), "")
		require.NoError(t, err)
		require.Equal(t, good, secret.Reveal())
	}
	for bad, why := range map[string]string{
		secretText(23):      "has 23 bytes",
		secretText(65):      "has 65 bytes",
		secretText(16)[6:]:  `must begin with "whsec_" or "whsk_"`,
		secretText(25)[:41]: "base64",
		"whsec_" + "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_": "base64",
		"whsec_":                                   "has 0 bytes",
		"whsk_" + secretText(32)[6:]:               "a private key has 64",
		"whsk_" + secretText(64)[6:]:               "not that of its private key",
		publishedPublic:                            `must begin with "whsec_" or "whsk_"`,
		publishedPrivate[:len(publishedPrivate)-1]: "base64",
		"s3cret" + " ":                             "white space",
	} {
		_, err := cfg.secretOrNew("standard", secretOf(bad), "")
		require.ErrorIs(t, err, ErrInvalid, bad)
		require.ErrorContains(t, err, "Secret: ")
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), bad)
	}
}

// textDialect is what dialect.Registry.CheckSecret is of a dialect that signs with the text.
func textDialect(_ string, secret Secret) error {
	if !secret.PublicKey().IsZero() {
		return fmt.Errorf("%w: an Ed25519 key makes no HMAC", signing.ErrInvalidSecret)
	}
	return nil
}

func TestSecret_OfADialectThatSignsWithTheText(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.CheckSecret = textDialect
	for _, good := range []string{"s3cr3t!", secretText(32), secretText(7), "whsec_", strings.Repeat("x", 1024), "ü"} {
		secret, err := cfg.secretOrNew("hub", secretOf(good), "")
		require.NoError(t, err, good)
		require.Equal(t, good, secret.Reveal())
		require.Equal(t, SecretHMAC, secret.Kind())
	}
	for bad, why := range map[string]string{
		publishedPrivate:          "Secret: an Ed25519 key makes no HMAC",
		strings.Repeat("x", 1025): "Secret: has 1025 bytes; at most 1024 are allowed",
		"hunter2\x00":             "Secret: must not hold NUL",
		"hunter2\xff":             "Secret: must be valid UTF-8",
		"[redacted]":              `Secret: is "[redacted]", which is shown in place of one`,
	} {
		_, err := cfg.secretOrNew("hub", secretOf(bad), "")
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := cfg.secretOrNew("hub", Secret{}, SecretEd25519)
	require.ErrorContains(t, err, "SecretKind: an Ed25519 key makes no HMAC")
}

// The key pair that Svix' documentation shows.
const (
	publishedPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publishedPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func TestSecret_ANewOneIsOfItsKindAndNewEachTime(t *testing.T) {
	t.Parallel()
	for kind, length := range map[SecretKind]int{"": 32, SecretHMAC: 32, SecretEd25519: 64} {
		a, err := testConfig().secretOrNew("standard", Secret{}, kind)
		require.NoError(t, err)
		b, err := testConfig().secretOrNew("standard", Secret{}, kind)
		require.NoError(t, err)
		require.Len(t, a.Key(), length)
		_, err = signing.ParseSecret(a.Reveal())
		require.NoError(t, err)
		require.False(t, a.Equal(b))
		require.Equal(t, kindOf(a.PublicKey().String()), a.Kind())
	}
}
