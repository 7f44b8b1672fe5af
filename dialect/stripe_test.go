package dialect_test

import (
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

func TestStripeVerifier_TakesAnyV1AndNeedsATime(t *testing.T) {
	t.Parallel()
	at := time.Unix(1700000000, 0)
	body := []byte(`{"id":"msg_1"}`)
	secret := parse(t, secretText)
	h, err := dialect.StripeSigner(nil).Sign(dialect.SignInput{
		At:      at,
		Body:    body,
		Secrets: []dialect.Secret{newPair(t), secret},
	})
	require.NoError(t, err)
	good := h.Get("Stripe-Signature")
	signature := strings.TrimPrefix(good, "t=1700000000,v1=")
	verify := func(value string, body []byte, secrets ...dialect.Secret) error {
		return dialect.StripeVerifier(nil).Verify(http.Header{"stripe-signature": {value}}, body, secrets, at)
	}

	t.Run("TakesAnyV1OfTheListAndSkipsTheRest", func(t *testing.T) {
		t.Parallel()
		for _, value := range []string{
			good, "v1=" + signature + ",t=1700000000", "t=1700000000,v0=1,v1=1,v2=x,,v1=" + signature, "t=1700000000, v1=" + signature,
		} {
			require.NoError(t, verify(value, body, secret), "%q", value)
		}
	})

	t.Run("NeedsATimeAndASignatureOfVersion1", func(t *testing.T) {
		t.Parallel()
		for value, want := range map[string]error{
			"":                              dialect.ErrMissingHeader,
			"t=1700000000":                  dialect.ErrBadSignature,
			"t=1700000000,v0=" + signature:  dialect.ErrBadSignature,
			"t=1700000000,v1=":              dialect.ErrBadSignature,
			"t=1700000001,v1=" + signature:  dialect.ErrBadSignature,
			"t=01700000000,v1=" + signature: dialect.ErrMalformed,
			"t=-1,v1=" + signature:          dialect.ErrMalformed,
			"t=,v1=" + signature:            dialect.ErrMalformed,
			"v1=" + signature:               dialect.ErrMalformed,
			good + ",t=1700000000":          dialect.ErrMalformed,
			"t=1699999699,v1=" + signature:  dialect.ErrTooOld,
			"t=1700000301,v1=" + signature:  dialect.ErrTooNew,
		} {
			require.ErrorIs(t, verify(value, body, secret), want, "%q", value)
		}
	})

	t.Run("PassesNothingWithoutASharedSecret", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, verify(good, body), dialect.ErrBadSignature)
		require.ErrorIs(t, verify(good, body, dialect.Secret{}, newPair(t)), dialect.ErrBadSignature)
		mac := hmac.New(sha256.New, nil)
		mac.Write([]byte("1700000000." + string(body)))
		forged := "t=1700000000,v1=" + hex.EncodeToString(mac.Sum(nil))
		require.ErrorIs(t, verify(forged, body, dialect.Secret{}), dialect.ErrBadSignature)
	})

	t.Run("HasAHeaderAndAToleranceOfItsOwn", func(t *testing.T) {
		t.Parallel()
		mine, err := dialect.StripeSigner(&dialect.StripeOpts{Header: "acme-signature"}).Sign(dialect.SignInput{
			At:      at,
			Body:    body,
			Secrets: []dialect.Secret{secret},
		})
		require.NoError(t, err)
		require.Equal(t, http.Header{"Acme-Signature": {good}}, mine)
		v := dialect.StripeVerifier(&dialect.StripeOpts{Header: "Acme-Signature", Tolerance: time.Second})
		require.NoError(t, v.Verify(mine, body, []dialect.Secret{secret}, at.Add(time.Second)))
		require.ErrorIs(t, v.Verify(mine, body, []dialect.Secret{secret}, at.Add(2*time.Second)), dialect.ErrTooOld)
		err = dialect.StripeVerifier(&dialect.StripeOpts{Tolerance: -1}).Verify(h, body, []dialect.Secret{secret}, at)
		require.EqualError(t, err, "dialect: verify: StripeOpts.Tolerance must not be negative")
	})
}

func TestStripeSigner_RefusesWhatItCannotSign(t *testing.T) {
	t.Parallel()
	_, err := dialect.StripeSigner(nil).Sign(dialect.SignInput{Secrets: []dialect.Secret{parse(t, secretText)}})
	require.EqualError(t, err, "the time of the attempt is not set")
	_, err = dialect.StripeSigner(nil).Sign(dialect.SignInput{At: time.Unix(1, 0), Secrets: []dialect.Secret{newPair(t)}})
	require.ErrorIs(t, err, dialect.ErrNoSecret)
}
