package dialect_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

func TestBodyHMAC_SignsAndVerifiesByTheWholeTextOfASecret(t *testing.T) {
	t.Parallel()
	body, secret := []byte("{}"), parse(t, secretText)
	format := dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-Signature", Prefix: "a="})
	sign := func(t *testing.T, secrets ...dialect.Secret) http.Header {
		t.Helper()
		h, err := format.Sign(dialect.SignInput{Body: body, Secrets: secrets})
		require.NoError(t, err)
		return h
	}

	t.Run("HasTheWholeTextOfASecretAsItsKey", func(t *testing.T) {
		t.Parallel()
		text, err := dialect.NewTextSecret(secretText)
		require.NoError(t, err)
		require.Equal(t, sign(t, text), sign(t, secret))
		require.NoError(t, format.Verify(sign(t, secret), body, []dialect.Secret{text}, time.Time{}))
		decoded, err := dialect.NewTextSecret(string(secret.Key()))
		require.NoError(t, err)
		require.ErrorIs(t, format.Verify(sign(t, secret), body, []dialect.Secret{decoded}, time.Time{}), dialect.ErrBadSignature)
	})

	t.Run("SignsByTheNewestSecretThatIsShared", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, sign(t, secret), sign(t, newPair(t), secret, parse(t, "whsec_"+strings.Repeat("a", 32))))
		for _, secrets := range [][]dialect.Secret{nil, {{}}, {newPair(t)}, {secret, {}}} {
			_, err := format.Sign(dialect.SignInput{Body: body, Secrets: secrets})
			require.ErrorIs(t, err, dialect.ErrNoSecret)
		}
	})

	t.Run("RefusesAValueThatIsNoneOfItsOwn", func(t *testing.T) {
		t.Parallel()
		good := sign(t, secret).Get("X-Signature")
		for _, value := range []string{"a=", "a=zz", good[2:], "b" + good[1:], good + "00", good[:len(good)-2], good + ", " + good} {
			err := format.Verify(http.Header{"X-Signature": {value}}, body, []dialect.Secret{secret}, time.Time{})
			require.ErrorIs(t, err, dialect.ErrMalformed, "%q", value)
		}
		err := format.Verify(http.Header{"X-Signature": {good, good}}, body, []dialect.Secret{secret}, time.Time{})
		require.ErrorIs(t, err, dialect.ErrMalformed)
		err = format.Verify(http.Header{"X-Signature": {good}}, body, []dialect.Secret{newPair(t)}, time.Time{})
		require.ErrorIs(t, err, dialect.ErrBadSignature)
	})

	t.Run("PassesNothingByAnEmptyKey", func(t *testing.T) {
		t.Parallel()
		mac := hmac.New(sha256.New, nil)
		mac.Write(body)
		forged := http.Header{"X-Signature": {"a=" + hex.EncodeToString(mac.Sum(nil))}}
		for _, secrets := range [][]dialect.Secret{nil, {{}}, {secret, {}}} {
			require.ErrorIs(t, format.Verify(forged, body, secrets, time.Time{}), dialect.ErrBadSignature)
		}
	})

	t.Run("RefusesToWorkWithoutAHeaderOrAHash", func(t *testing.T) {
		t.Parallel()
		for want, bad := range map[string]*dialect.BodyHMACConfig{
			"BodyHMACConfig.Header is empty":                 nil,
			"BodyHMACConfig.Hash: BLAKE2s-256 is not linked": {Hash: crypto.BLAKE2s_256, Header: "X-A"},
		} {
			bad := dialect.BodyHMAC(bad)
			_, err := bad.Sign(dialect.SignInput{Secrets: []dialect.Secret{secret}})
			require.EqualError(t, err, want)
			require.EqualError(t, bad.Verify(nil, nil, nil, time.Time{}), "dialect: verify: "+want)
		}
	})
}

func TestVerifiers_HexInUpperCasePasses(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	secrets := []dialect.Secret{parse(t, secretText)}
	at := time.Unix(1700000000, 0)
	own := dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-A"})
	for name, tt := range map[string]struct {
		signer   dialect.Signer
		verifier dialect.Verifier
		header   string
		prefix   string
	}{
		"BodyHMAC":   {own, own, "X-A", ""},
		"Hub":        {dialect.HubSigner(nil), dialect.HubVerifier(nil), "X-Hub-Signature-256", "sha256="},
		"PyWebhooks": {dialect.PyWebhooksSigner(), dialect.PyWebhooksVerifier(), "Pywebhooks-Signature", ""},
		"Servo":      {dialect.ServoSigner(), dialect.ServoVerifier(), "X-Servo-Signature", ""},
		"Stripe":     {dialect.StripeSigner(nil), dialect.StripeVerifier(nil), "Stripe-Signature", "t=1700000000,v1="},
	} {
		h, err := tt.signer.Sign(dialect.SignInput{
			At:      at,
			Body:    body,
			Secrets: secrets,
		})
		require.NoError(t, err)
		signature, ok := strings.CutPrefix(h.Get(tt.header), tt.prefix)
		require.True(t, ok)
		require.NotEqual(t, strings.ToUpper(signature), signature)

		h.Set(tt.header, tt.prefix+strings.ToUpper(signature))

		require.NoError(t, tt.verifier.Verify(h, body, secrets, at), name)
		require.ErrorIs(t, tt.verifier.Verify(h, []byte("[]"), secrets, at), dialect.ErrBadSignature, name)
	}
}

func TestHub_TakesSHA1OnlyWhereItIsAllowedAndTheOnlyOne(t *testing.T) {
	t.Parallel()
	body, secrets := []byte("{}"), []dialect.Secret{parse(t, secretText)}
	h, err := dialect.HubSigner(&dialect.HubOpts{SHA1: true}).Sign(dialect.SignInput{Body: body, Secrets: secrets})
	require.NoError(t, err)
	require.Len(t, h, 2)
	old := http.Header{"X-Hub-Signature": h["X-Hub-Signature"]}
	require.ErrorIs(t, dialect.HubVerifier(nil).Verify(old, body, secrets, time.Time{}), dialect.ErrMissingHeader)
	require.NoError(t, dialect.HubVerifier(&dialect.HubOpts{SHA1: true}).Verify(old, body, secrets, time.Time{}))
	h.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
	require.ErrorIs(t, dialect.HubVerifier(&dialect.HubOpts{SHA1: true}).Verify(h, body, secrets, time.Time{}), dialect.ErrBadSignature)
}
