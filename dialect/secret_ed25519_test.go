package dialect_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

const (
	privateText = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publicText  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func public(tb testing.TB, s string) dialect.PublicKey {
	tb.Helper()
	key, err := dialect.ParsePublicKey(s)
	require.NoError(tb, err)
	return key
}

func newPair(tb testing.TB) dialect.Secret {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(tb, err)
	secret, err := dialect.NewEd25519Secret(private)
	require.NoError(tb, err)
	clear(private)
	require.True(tb, parse(tb, secret.Reveal()).Equal(secret), "it keeps a copy")
	return secret
}

func TestEd25519_ASecretHasThePublicKeyOfItsPair(t *testing.T) {
	t.Parallel()
	secret := parse(t, privateText)
	require.Equal(t, privateText, secret.Reveal())
	require.Equal(t, publicText, secret.PublicKey().String())
	require.Equal(t, public(t, publicText), secret.PublicKey())
	require.Len(t, secret.Key(), ed25519.PrivateKeySize)
	require.Len(t, secret.PublicKey().Key(), ed25519.PublicKeySize)
	text, err := secret.PublicKey().MarshalText()
	require.NoError(t, err)
	require.Equal(t, publicText, string(text))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %d", secret, secret, secret, secret), "6Xb")

	shared, err := dialect.NewSecret(secret.Key())
	require.NoError(t, err)
	require.False(t, shared.Equal(secret), "the same bytes are another secret")
	for _, none := range []dialect.PublicKey{{}, shared.PublicKey(), dialect.Secret{}.PublicKey()} {
		require.True(t, none.IsZero())
		require.Nil(t, none.Key())
		require.Empty(t, none.String())
	}
}

func TestEd25519_KeysThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	of := func(prefix string, n int) string { return prefix + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, s := range []string{
		of("whsk_", 64), of("whsk_", 32), of("whsk_", 65), "whsk_", publicText, privateText + "\n", privateText[:len(privateText)-1],
		strings.Replace(privateText, "MbfVKIDi", "MbfVKIDj", 1),
	} {
		_, err := dialect.ParseSecret(s)
		require.ErrorIs(t, err, dialect.ErrInvalidSecret, "%q", s)
	}
	for _, s := range []string{of("whpk_", 31), of("whpk_", 33), "whpk_", "", privateText, publicText[5:], publicText + "\n"} {
		_, err := dialect.ParsePublicKey(s)
		require.ErrorIs(t, err, dialect.ErrInvalidSecret, "%q", s)
	}
	_, err := dialect.NewEd25519Secret(make([]byte, 63))
	require.ErrorIs(t, err, dialect.ErrInvalidSecret)
}

// signAt signs "{}" at a fixed time.
func signAt(t *testing.T, secrets ...dialect.Secret) http.Header {
	t.Helper()
	h, err := dialect.StandardSigner().Sign(dialect.SignInput{
		ID:      "msg_1",
		At:      time.Unix(1700000000, 0),
		Body:    []byte("{}"),
		Secrets: secrets,
	})
	require.NoError(t, err)
	return h
}

func TestEd25519_AV1aSignaturePassesByThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	pair := newPair(t)
	other := newPair(t)
	shared := parse(t, secretText)
	verify := func(h http.Header, body string, secrets []dialect.Secret, keys ...dialect.PublicKey) error {
		return dialect.StandardVerifier(&dialect.StandardOpts{PublicKeys: keys}).Verify(h, []byte(body), secrets, now)
	}
	h := signAt(t, pair)
	require.True(t, strings.HasPrefix(h.Get("Webhook-Signature"), "v1a,"))
	require.NoError(t, verify(h, "{}", nil, pair.PublicKey()))
	require.NoError(t, verify(h, "{}", nil, other.PublicKey(), pair.PublicKey()))
	require.NoError(t, verify(h, "{}", []dialect.Secret{shared, pair}))
	for name, err := range map[string]error{
		"another body":           verify(h, "{} ", nil, pair.PublicKey()),
		"another key":            verify(h, "{}", []dialect.Secret{other}, other.PublicKey()),
		"no key":                 verify(h, "{}", nil),
		"the zero key":           verify(h, "{}", nil, dialect.PublicKey{}),
		"a secret of that bytes": verify(h, "{}", []dialect.Secret{sharedOf(t, pair.PublicKey().Key())}),
	} {
		require.ErrorIs(t, err, dialect.ErrBadSignature, name)
	}

	// Both kinds beside each other, as when one takes over from the other.
	both := signAt(t, pair, shared)
	require.Regexp(t, `^v1a,\S+ v1,\S+$`, both.Get("Webhook-Signature"))
	require.NoError(t, verify(both, "{}", nil, pair.PublicKey()))
	require.NoError(t, verify(both, "{}", []dialect.Secret{shared}))
}

// What is public must not be good for signing.
func TestEd25519_APublicKeyIsNoSharedSecret(t *testing.T) {
	t.Parallel()
	pair := newPair(t)
	forged := signAt(t, sharedOf(t, pair.PublicKey().Key()))
	asV1a := http.Header{}
	for name, values := range forged {
		asV1a[name] = []string{strings.Replace(values[0], "v1,", "v1a,", 1)}
	}
	for _, h := range []http.Header{forged, asV1a} {
		err := dialect.StandardVerifier(&dialect.StandardOpts{PublicKeys: []dialect.PublicKey{pair.PublicKey()}}).
			Verify(h, []byte("{}"), []dialect.Secret{pair}, time.Unix(1700000000, 0))
		require.ErrorIs(t, err, dialect.ErrBadSignature)
	}
}

func sharedOf(t *testing.T, raw []byte) dialect.Secret {
	t.Helper()
	secret, err := dialect.NewSecret(raw)
	require.NoError(t, err)
	return secret
}

func TestEd25519_OnlyTheFirst32SignaturesOfV1aAreLookedAt(t *testing.T) {
	t.Parallel()
	pair := newPair(t)
	h := signAt(t, pair)
	good := h.Get("Webhook-Signature")
	junk := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)) + " "
	for n, want := range map[int]error{0: nil, 31: nil, 32: dialect.ErrBadSignature} {
		h.Set("Webhook-Signature", strings.Repeat(junk, n)+good)
		err := dialect.StandardVerifier(nil).Verify(h, []byte("{}"), []dialect.Secret{pair}, time.Unix(1700000000, 0))
		require.ErrorIs(t, err, want, "behind %d", n)
	}
	for _, bad := range []string{"v1a", "v1a,", "v1a,!", "v1a," + strings.Repeat("A", 84), "v1A," + good[4:]} {
		h.Set("Webhook-Signature", bad)
		err := dialect.StandardVerifier(nil).Verify(h, []byte("{}"), []dialect.Secret{pair}, time.Unix(1700000000, 0))
		require.ErrorIs(t, err, dialect.ErrBadSignature, bad)
	}
}
