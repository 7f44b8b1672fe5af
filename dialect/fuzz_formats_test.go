package dialect_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

// hexMAC is by the text of the secret, as receivers of these formats have it.
func hexMAC(of func() hash.Hash, text string) string {
	mac := hmac.New(of, []byte(secretText))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func FuzzStripeVerifier_PassesNothingButWhatWasSigned(f *testing.F) {
	now := time.Unix(1700000000, 0)
	secrets := []dialect.Secret{parse(f, secretText)}
	good := hexMAC(sha256.New, `1700000000.{"a":1}`)
	for _, seed := range [][2]string{
		{"t=1700000000,v1=" + good, `{"a":1}`},
		{"t=1700000000,v1=" + good, `{"a":2}`},
		{"t=1700000001,v1=" + good, `{"a":1}`},
		{"v1=" + good + ", v0=x ,t=1700000000, v1=", `{"a":1}`},
		{"t=1700000000,t=1700000000,v1=" + good, `{"a":1}`},
		{"t=1700000000,v0=" + good, `{"a":1}`},
		{"t=1700000000,v1=" + strings.ToUpper(good), `{"a":1}`},
		{"t=1600000000,v1=" + hexMAC(sha256.New, "1600000000."), ""},
		{"t=01700000000,v1=" + hexMAC(sha256.New, "01700000000."), ""},
		{"t=,v1=" + hexMAC(sha256.New, "."), ""},
		{"v1=" + hexMAC(sha256.New, "."), ""},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, value string, body []byte) {
		err := dialect.StripeVerifier(nil).Verify(http.Header{"STRIPE-signature": {value}}, body, secrets, now)

		var times, signatures []string
		for item := range strings.SplitSeq(value, ",") {
			item = strings.TrimSpace(item)
			if at, ok := strings.CutPrefix(item, "t="); ok || item == "t" {
				times = append(times, at)
			}
			if signature, ok := strings.CutPrefix(item, "v1="); ok {
				signatures = append(signatures, signature)
			}
		}
		signed := false
		if len(times) == 1 {
			seconds, parseErr := strconv.ParseUint(times[0], 10, 40)
			inTime := parseErr == nil && strconv.FormatUint(seconds, 10) == times[0] && now.Sub(time.Unix(int64(seconds), 0)).Abs() <= 5*time.Minute
			for _, signature := range signatures {
				signed = signed || inTime && strings.EqualFold(signature, hexMAC(sha256.New, times[0]+"."+string(body)))
			}
		}
		require.Equal(t, signed, err == nil)
	})
}

func FuzzVerifiers_OfTheBodyPassNothingButWhatWasSigned(f *testing.F) {
	secrets := []dialect.Secret{parse(f, secretText)}
	long, short := hexMAC(sha256.New, `{"a":1}`), hexMAC(sha1.New, `{"a":1}`)
	for _, seed := range [][3]string{
		{"sha256=" + long, "", `{"a":1}`},
		{"sha256=" + long, "", `{"a":2}`},
		{"", "sha1=" + short, `{"a":1}`},
		{"sha256=00", "sha1=" + short, `{"a":1}`},
		{long, short, `{"a":1}`},
		{"sha1=" + short, "sha256=" + long, `{"a":1}`},
		{"sha256=" + strings.ToUpper(long), "sha1=" + strings.ToUpper(short), `{"a":1}`},
		{"sha256=" + long + " ", "sha1=" + short[:38], `{"a":1}`},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, first, second string, body []byte) {
		after := func(prefix, value string) string {
			signature, ok := strings.CutPrefix(value, prefix)
			if !ok {
				return "none"
			}
			return strings.ToLower(signature)
		}
		bySHA256 := after("sha256=", first) == hexMAC(sha256.New, string(body))
		bySHA1 := after("sha1=", second) == hexMAC(sha1.New, string(body))
		h := http.Header{"x-hub-signature-256": {first}, "X-HUB-SIGNATURE": {second}}
		require.Equal(t, bySHA256, dialect.HubVerifier(nil).Verify(h, body, secrets, time.Time{}) == nil)
		both := dialect.HubVerifier(&dialect.HubOpts{SHA1: true})
		require.Equal(t, bySHA256 || first == "" && bySHA1, both.Verify(h, body, secrets, time.Time{}) == nil)

		bare := after("", second) == hexMAC(sha1.New, string(body))
		h = http.Header{"pywebhooks-signature": {second}, "X-SERVO-SIGNATURE": {second}}
		require.Equal(t, bare, dialect.PyWebhooksVerifier().Verify(h, body, secrets, time.Time{}) == nil)
		require.Equal(t, bare, dialect.ServoVerifier().Verify(h, body, secrets, time.Time{}) == nil)
	})
}

// The signature is good: what is looked for is an event that passes as another one
// than was signed.
func FuzzCloudEventsVerifier_PassesNoOtherIDThanWasSigned(f *testing.F) {
	now := time.Unix(1700000000, 0)
	secrets := []dialect.Secret{parse(f, secretText)}
	for _, seed := range [][4]string{
		{"msg_1", "1.0", "/a", "application/json"},
		{"msg%5F1", "1.0", "/a", "application/json"},
		{"msg_2", "1.0", "/a", "application/json"},
		{"msg%_1", "1.0", "/a", "application/json"},
		{"msg_1", "1%2E0", "/a", ""},
		{"msg_1", "0.3", "/a", ""},
		{"msg_1", "1.0", "", ""},
		{"", "", "", "application/cloudevents+json; charset=utf-8"},
		{"msg_2", "", "", "APPLICATION/CLOUDEVENTS-BATCH+JSON"},
		{"msg_2", "1.0", "/a", "x/application/cloudevents"},
		{"msg_2", "1.0", "/a", "application/json, application/cloudevents+json"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, id, version, source, contentType string) {
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      now,
			Secrets: secrets,
		})
		require.NoError(t, err)
		for name, value := range map[string]string{
			"ce-id": id, "CE-SPECVERSION": version, "Ce-Source": source, "ce-Type": "a.b", "content-type": contentType,
		} {
			h[name] = []string{value}
		}

		err = dialect.CloudEventsVerifier(nil).Verify(h, nil, secrets, now)

		media, _, _ := mime.ParseMediaType(contentType)
		same := func(text, want string) bool {
			plain, err := url.PathUnescape(text)
			return err == nil && plain == want
		}
		_, escape := url.PathUnescape(source)
		binary := same(id, "msg_1") && same(version, "1.0") && source != "" && escape == nil
		require.Equal(t, strings.HasPrefix(media, "application/cloudevents") || binary, err == nil)
	})
}
