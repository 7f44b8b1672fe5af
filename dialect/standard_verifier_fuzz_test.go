package dialect_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

// What passes was signed: the fuzzer has the signature of one request, and of
// each variation that it makes of it the model says whether it is the same.
func FuzzStandardVerifier_PassesNothingButWhatWasSigned(f *testing.F) {
	now := time.Unix(1700000000, 0)
	secrets := []dialect.Secret{parse(f, secretText)}
	sign := func(id, timestamp string, body []byte) string {
		mac := hmac.New(sha256.New, secrets[0].Key())
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	good := sign("msg_1", "1700000000", []byte(`{"a":1}`))
	for _, seed := range []struct{ id, timestamp, list, body string }{
		{"msg_1", "1700000000", good, `{"a":1}`},
		{"msg_1", "1700000000", good, `{"a":2}`},
		{"msg_1", "1700000001", good, `{"a":1}`},
		{"msg_1", "+1700000000", good, `{"a":1}`},
		{"msg_1.1700000000", "1", good, `{"a":1}`},
		{"", "", "", ""},
		{"msg_1", "9223372036854775807", good, ""},
		{"msg_1", "-1", good, ""},
		{"msg_1", "01700000000", good, `{"a":1}`},
		{"msg_1", "1700000000", "v1a," + good[3:] + " v2 ,,", `{"a":1}`},
		{"msg_1", "1700000000", good + "=", `{"a":1}`},
	} {
		f.Add(seed.id, seed.timestamp, seed.list, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, id, timestamp, list string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "webhook-timestamp": {timestamp}, "WEBHOOK-SIGNATURE": {list}}
		err := dialect.StandardVerifier(nil).Verify(h, body, secrets, now)
		if err != nil {
			known := false
			for _, want := range []error{
				dialect.ErrBadSignature, dialect.ErrMalformed, dialect.ErrMissingHeader, dialect.ErrTooNew, dialect.ErrTooOld,
			} {
				known = known || strings.HasPrefix(err.Error(), want.Error())
			}
			require.True(t, known, err)
		}

		seconds, parseErr := strconv.ParseUint(timestamp, 10, 40)
		inTime := parseErr == nil && strconv.FormatUint(seconds, 10) == timestamp && now.Sub(time.Unix(int64(seconds), 0)).Abs() <= 5*time.Minute
		signed := false
		for word := range strings.FieldsSeq(list) {
			signed = signed || word == sign(id, timestamp, body)
		}
		require.Equal(t, signed && inTime && id != "" && !strings.Contains(id, "."), err == nil)
	})
}

// An Ed25519 signature of a content cannot be made into another one, so that what
// passes is the one that the key makes, or nothing.
func FuzzStandardVerifier_PassesNothingElseByAPublicKey(f *testing.F) {
	now := time.Unix(1700000000, 0)
	pair := parse(f, privateText)
	sign := func(id, timestamp string, body []byte) string {
		content := append([]byte(id+"."+timestamp+"."), body...)
		return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(pair.Key(), content))
	}
	good := sign("msg_1", "1700000000", []byte(`{"a":1}`))
	junk := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)) + " "
	for _, seed := range []struct{ id, timestamp, list, body string }{
		{"msg_1", "1700000000", good, `{"a":1}`},
		{"msg_1", "1700000000", good, `{"a":2}`},
		{"msg_2", "1700000000", good, `{"a":1}`},
		{"msg_1", "1700000001", good, `{"a":1}`},
		{"msg_1.1700000000", "1", good, `{"a":1}`},
		{"msg_1", "1700000000", strings.Repeat(junk, 31) + good, `{"a":1}`},
		{"msg_1", "1700000000", strings.Repeat(junk, 32) + good, `{"a":1}`},
		{"msg_1", "1700000000", "v1," + good[4:], `{"a":1}`},
		{"msg_1", "1700000000", "v1a v1a, ,v1a " + good, `{"a":1}`},
		{"msg_1", "1600000000", sign("msg_1", "1600000000", nil), ""},
		{"msg_1", "01700000000", sign("msg_1", "01700000000", nil), ""},
		{"msg.1", "1700000000", sign("msg.1", "1700000000", nil), ""},
		{"", "1700000000", sign("", "1700000000", nil), ""},
	} {
		f.Add(seed.id, seed.timestamp, seed.list, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, id, timestamp, list string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "webhook-timestamp": {timestamp}, "WEBHOOK-SIGNATURE": {list}}
		err := dialect.StandardVerifier(&dialect.StandardOpts{PublicKeys: []dialect.PublicKey{pair.PublicKey()}}).Verify(h, body, nil, now)
		require.Equal(t, err, dialect.StandardVerifier(nil).Verify(h, body, []dialect.Secret{pair}, now), "by the pair as by the public key")

		seconds, parseErr := strconv.ParseUint(timestamp, 10, 40)
		inTime := parseErr == nil && strconv.FormatUint(seconds, 10) == timestamp && now.Sub(time.Unix(int64(seconds), 0)).Abs() <= 5*time.Minute
		signed, looked := false, 0
		for word := range strings.FieldsSeq(list) {
			if signature, ok := strings.CutPrefix(word, "v1a,"); ok && signature != "" {
				looked++
				signed = signed || looked <= 32 && word == sign(id, timestamp, body)
			}
		}
		require.Equal(t, signed && inTime && id != "" && !strings.Contains(id, "."), err == nil)
	})
}
