package verify

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/subscription"
)

const aNonce = "5e1f"

func by(method subscription.Verification) challenge {
	return challenge{
		method: method,
		nonce:  aNonce,
		origin: "hooks.example.com",
	}
}

func TestProvenBy_TellsAnswersApart(t *testing.T) {
	t.Parallel()
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for name, a := range map[string]struct {
		method subscription.Verification
		header http.Header
		body   string
	}{
		"the challenge as text":      {subscription.VerificationChallenge, nil, aNonce},
		"a line of text":             {subscription.VerificationChallenge, nil, aNonce + "\r\n"},
		"the challenge among others": {subscription.VerificationChallenge, nil, ` {"ok": true, "challenge": "5e1f", "token": [1]} `},
		"escapes":                    {subscription.VerificationChallenge, nil, `{"challenge": "\u0035e1f"}`},
		"an echo":                    {subscription.VerificationEcho, nil, `{"echo":"5e1f"}`},
		"this origin":                {subscription.VerificationCloudEvents, header("Webhook-Allowed-Origin", "Hooks.example.com"), ""},
		"each origin":                {subscription.VerificationCloudEvents, header("Webhook-Allowed-Origin", "*"), ""},
		"the header":                 {subscription.VerificationRESTHooks, header("X-Hook-Secret", aNonce), "no matter"},
	} {
		require.True(t, by(a.method).provenBy(a.header, []byte(a.body)), name)
		require.False(t, by("").provenBy(a.header, []byte(a.body)), name)
		for _, other := range subscription.Verifications() {
			if other != a.method && a.header != nil {
				require.False(t, by(other).provenBy(a.header, nil), "%s for %s", name, other)
			}
		}
	}
	require.False(t, by(subscription.VerificationEcho).provenBy(nil, []byte(aNonce)), "an echo is JSON")
	require.False(t, by(subscription.VerificationChallenge).provenBy(nil, []byte(`["5e1f"]`)))
	require.False(t, by(subscription.VerificationChallenge).provenBy(nil, []byte(`{"challenge":"5e1f"`)), "cut off")
	for _, body := range []string{
		`{"challenge":"5e1f","type":"riverhook.challenge"}`, ` {"type": "riverhook\u002echallenge", "challenge": "5e1f", "received": true}`,
	} {
		require.False(t, by(subscription.VerificationChallenge).provenBy(nil, []byte(body)), "the request again")
	}
	require.True(t, by(subscription.VerificationChallenge).provenBy(nil, []byte(`{"challenge":"5e1f","type":"reply"}`)))
}

func FuzzProvenBy_NothingProvesWithoutTheNonce(f *testing.F) {
	for _, body := range []string{
		"", aNonce, `{"challenge":"5e1f"}`, `{"echo":"5e1f"}`, `{"challenge":{"challenge":"5e1f"}}`, `{"challenge":null}`, `{"Challenge":"5e1f"}`,
		`"5e1f"`, "\x00", strings.Repeat("[", 10_001), `{"challenge":"\ud800"}`,
	} {
		f.Add(body, body)
	}
	f.Fuzz(func(t *testing.T, body, value string) {
		for _, method := range []subscription.Verification{
			subscription.VerificationChallenge, subscription.VerificationEcho, subscription.VerificationRESTHooks,
		} {
			const nonce = "b2c4 that nobody was sent"
			header := http.Header{headerHookSecret: {value}, headerAllowedOrigin: {value}}
			if !strings.Contains(body+value, "b2c4") {
				require.False(t, challenge{method: method, nonce: nonce}.provenBy(header, []byte(body)))
			}
		}
	})
}
