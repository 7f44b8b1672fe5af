package dialect_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

func TestStandardSigner_RefusesWhatItCannotSign(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) dialect.SignInput {
		t.Helper()
		return dialect.SignInput{
			ID:      "msg_1",
			At:      time.Unix(1700000000, 0),
			Body:    []byte("{}"),
			Secrets: []dialect.Secret{parse(t, secretText)},
		}
	}

	t.Run("RefusesIDsThatCannotBeSigned", func(t *testing.T) {
		t.Parallel()
		for _, id := range []string{"", "a.b", "a b", "a\n", "é", "a/b"} {
			in := setup(t)
			in.ID = id
			_, err := dialect.StandardSigner().Sign(in)
			require.ErrorContains(t, err, "id ", "%q", id)
		}
	})

	t.Run("RefusesATimeThatIsNotSet", func(t *testing.T) {
		t.Parallel()
		in := setup(t)
		in.At = time.Time{}
		_, err := dialect.StandardSigner().Sign(in)
		require.ErrorContains(t, err, "time")
	})

	t.Run("RefusesToSignWithoutASecret", func(t *testing.T) {
		t.Parallel()
		for _, secrets := range [][]dialect.Secret{nil, {{}}, {parse(t, secretText), {}}} {
			in := setup(t)
			in.Secrets = secrets
			_, err := dialect.StandardSigner().Sign(in)
			require.ErrorIs(t, err, dialect.ErrNoSecret)
		}
		msg := dialect.Message{ID: "a", Body: []byte("{}")}
		_, err := dialect.Standard().Request(msg, dialect.Destination{}, dialect.Attempt{At: time.Unix(1, 0)})
		require.ErrorIs(t, err, dialect.ErrNoSecret)
	})
}

func TestStandardVerifier_PassesIfAnySignatureMatchesInTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	body := []byte(`{"a":1}`)

	type bundle struct {
		header    http.Header
		secrets   []dialect.Secret
		signature string
	}
	setup := func(t *testing.T) *bundle {
		t.Helper()
		secrets := []dialect.Secret{parse(t, secretText)}
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      now,
			Body:    body,
			Secrets: secrets,
		})
		require.NoError(t, err)
		return &bundle{
			header:    h,
			secrets:   secrets,
			signature: h.Get("Webhook-Signature"),
		}
	}
	verify := func(b *bundle) error { return dialect.StandardVerifier(nil).Verify(b.header, body, b.secrets, now) }

	t.Run("PassesIfAnySignatureOfTheListMatches", func(t *testing.T) {
		t.Parallel()
		for _, list := range []string{
			"@", "v1,AAAA @", "@ v1,AAAA", "v1a,AAAA @", "v2,x @ v3,y", "nocomma @", ", @", "v1, @", "v1 @", "  @  ", "@ @", "v1,a,b @",
			"v1,\xff\x00 @",
		} {
			b := setup(t)
			b.header.Set("Webhook-Signature", strings.ReplaceAll(list, "@", b.signature))
			require.NoError(t, verify(b), "%q", list)
		}
	})

	t.Run("PassesIfTheListIsSpreadOverSeveralHeaders", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.header["Webhook-Signature"] = []string{"v1,AAAA", b.signature}
		require.NoError(t, verify(b))
	})

	t.Run("RefusesListsWithoutAMatch", func(t *testing.T) {
		t.Parallel()
		for _, list := range []string{"v1,", "v1", ",", "nocomma", "v1,AAAA", "v2,@", "v1a,@", "V1,@", "v1;@", "v1,@=", "v1,@,v1,@", "@"} {
			b := setup(t)
			b.header.Set("Webhook-Signature", strings.ReplaceAll(list, "@", strings.TrimPrefix(b.signature, "v1,")))
			require.ErrorIs(t, verify(b), dialect.ErrBadSignature, "%q", list)
		}
	})

	t.Run("NeedsAllThreeHeaders", func(t *testing.T) {
		t.Parallel()
		for _, name := range standardHeaders {
			b := setup(t)
			b.header.Del(name)
			require.ErrorIs(t, verify(b), dialect.ErrMissingHeader)
			require.ErrorContains(t, verify(b), http.CanonicalHeaderKey(name))
			b.header.Set(name, "")
			require.ErrorIs(t, verify(b), dialect.ErrMissingHeader)
		}
		require.ErrorIs(t, dialect.StandardVerifier(nil).Verify(nil, body, nil, now), dialect.ErrMissingHeader)
	})

	t.Run("RefusesTimestampsThatAreNotACountOfSeconds", func(t *testing.T) {
		t.Parallel()
		for _, timestamp := range []string{
			"x", "1.7e9", "1700000000.0", " 1700000000", "+1700000000", "-1", "01700000000", "0x6553f100", "1700000000000000000000000", "１",
			"2023-11-14T22:13:20Z",
		} {
			b := setup(t)
			b.header.Set("Webhook-Timestamp", timestamp)
			require.ErrorIs(t, verify(b), dialect.ErrMalformed, "%q", timestamp)
		}
	})

	t.Run("TellsTooOldFromTooNewAtAnyDistance", func(t *testing.T) {
		t.Parallel()
		for timestamp, want := range map[string]error{
			"0": dialect.ErrTooOld, "1699999699": dialect.ErrTooOld, "1700000301": dialect.ErrTooNew, "1700000000000": dialect.ErrTooNew,
			"9223372036854775807": dialect.ErrTooNew,
		} {
			b := setup(t)
			b.header.Set("Webhook-Timestamp", timestamp)
			require.ErrorIs(t, verify(b), want, timestamp)
		}
	})

	t.Run("CountsPartsOfASecondOfTheReceiversClock", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		late := now.Add(dialect.DefaultTolerance + time.Nanosecond)
		require.ErrorIs(t, dialect.StandardVerifier(nil).Verify(b.header, body, b.secrets, late), dialect.ErrTooOld)
	})

	t.Run("RefusesHeadersThatAreThereTwice", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"Webhook-Id", "Webhook-Timestamp"} {
			b := setup(t)
			b.header[name] = append(b.header[name], b.header[name]...)
			require.ErrorIs(t, verify(b), dialect.ErrMalformed)
			b = setup(t)
			b.header[strings.ToLower(name)] = b.header[name]
			require.ErrorIs(t, verify(b), dialect.ErrMalformed)
		}
	})

	t.Run("RefusesABodyWhoseStartMovedIntoTheID", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      now,
			Body:    []byte("1700000001." + string(body)),
			Secrets: b.secrets,
		})
		require.NoError(t, err)
		h.Set("Webhook-Id", "msg_1.1700000000")
		h.Set("Webhook-Timestamp", "1700000001")
		b.header = h
		require.ErrorIs(t, verify(b), dialect.ErrMalformed)
	})

	t.Run("PassesNothingWithoutASecret", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, secrets := range [][]dialect.Secret{nil, {}, {{}}} {
			require.ErrorIs(t, dialect.StandardVerifier(nil).Verify(b.header, body, secrets, now), dialect.ErrBadSignature)
		}
		require.NoError(t, dialect.StandardVerifier(nil).Verify(b.header, body, append([]dialect.Secret{{}}, b.secrets...), now))
	})

	t.Run("PassesNoForgeryWithTheEmptyKeyOfTheZeroSecret", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		mac := hmac.New(sha256.New, nil)
		mac.Write([]byte("msg_1.1700000000." + string(body)))
		b.header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		b.secrets = append(b.secrets, dialect.Secret{})
		require.ErrorIs(t, verify(b), dialect.ErrBadSignature)
	})

	t.Run("RefusesANegativeTolerance", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		wrong := dialect.StandardVerifier(&dialect.StandardOpts{Tolerance: -1})
		require.ErrorContains(t, wrong.Verify(b.header, body, b.secrets, now), "negative")
	})
}

func FuzzStandardVerifier_PassesAListThatHasTheSignature(f *testing.F) {
	now := time.Unix(1700000000, 0)
	body := []byte(`{"a":1}`)
	secrets := []dialect.Secret{parse(f, secretText)}
	good, err := dialect.StandardSigner().Sign(dialect.SignInput{
		ID:      "msg_1",
		At:      now,
		Body:    body,
		Secrets: secrets,
	})
	require.NoError(f, err)
	want := good.Get("Webhook-Signature")
	for _, seed := range []string{"", want, "v1,", "v1a," + want[3:] + " " + want, "v1," + want, ",,, ,", want + "," + want} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		h := good.Clone()
		h.Set("Webhook-Signature", list)
		got := dialect.StandardVerifier(nil).Verify(h, body, secrets, now)
		// The specification, in the other direction: one of the words is the signature.
		matches := false
		for word := range strings.FieldsSeq(list) {
			matches = matches || word == want
		}
		switch {
		case matches:
			require.NoError(t, got)
		case strings.TrimSpace(list) == "":
			require.ErrorIs(t, got, dialect.ErrMissingHeader)
		default:
			require.ErrorIs(t, got, dialect.ErrBadSignature)
		}
	})
}
