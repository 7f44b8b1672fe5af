package dialect_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/dialect/dialecttest"
)

func load[T any](t *testing.T, file string) []T {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []T
	require.NoError(t, json.Unmarshal(raw, &out))
	require.NotEmpty(t, out)
	return out
}

// The signatures were made by other implementations.
func TestStandard_SignsAndVerifiesThePublishedVectors(t *testing.T) {
	t.Parallel()
	type vector struct {
		ID        string `json:"id"`
		Key       string `json:"key"`
		PublicKey string `json:"public_key"` // "" of a shared secret
		RawKeyHex string `json:"raw_key_hex"`
		Body      string `json:"body"`
		Value     string `json:"value"`
		MsgID     string `json:"msg_id"`
		Timestamp int64  `json:"timestamp"`
	}
	for _, v := range load[vector](t, "testdata/standard.json") {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			secret, err := dialect.ParseSecret(v.Key)
			require.NoError(t, err)
			require.Equal(t, v.RawKeyHex, hex.EncodeToString(secret.Key()))
			at := time.Unix(v.Timestamp, 0)

			h, err := dialect.StandardSigner().Sign(dialect.SignInput{
				ID:      v.MsgID,
				At:      at,
				Body:    []byte(v.Body),
				Secrets: []dialect.Secret{secret},
			})
			require.NoError(t, err)
			require.Equal(t, v.Value, h.Get("Webhook-Signature"))
			require.NoError(t, dialect.StandardVerifier(nil).Verify(h, []byte(v.Body), []dialect.Secret{secret}, at))
			require.Equal(t, v.PublicKey, secret.PublicKey().String())
		})
	}
}

// The signatures in the file were made with Python's hmac.
func TestBuiltIn_DialectsMakeTheGoldenRequests(t *testing.T) {
	t.Parallel()
	type golden struct {
		Name    string `json:"name"`
		Dialect string `json:"dialect"`
		Event   struct {
			ID           string    `json:"id"`
			Type         string    `json:"type"`
			Site         string    `json:"site"`
			ResourceKind string    `json:"resource_kind"`
			ResourceID   string    `json:"resource_id"`
			OccurredAt   time.Time `json:"occurred_at"`
		} `json:"event"`
		Data        string `json:"data"`
		Destination struct {
			URL     string            `json:"url"`
			Headers map[string]string `json:"headers"`
			Secrets []string          `json:"secrets"`
		} `json:"destination"`
		AttemptAt int64 `json:"attempt_at"`
		Request   struct {
			Method  string            `json:"method"`
			URL     string            `json:"url"`
			Headers map[string]string `json:"headers"`
			Body    string            `json:"body"`
		} `json:"request"`
	}
	registry, err := dialect.NewRegistry(dialect.BuiltIn()...)
	require.NoError(t, err)

	var seen []string
	for _, g := range load[golden](t, "testdata/requests.json") {
		seen = append(seen, g.Dialect)
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			d, ok := registry.Get(g.Dialect)
			require.True(t, ok)
			to := dialect.Destination{URL: g.Destination.URL, Headers: g.Destination.Headers}
			for _, s := range g.Destination.Secrets {
				secret, err := dialect.ParseSecret(s)
				require.NoError(t, err)
				to.Secrets = append(to.Secrets, secret)
			}
			want := dialect.Request{
				Method: g.Request.Method,
				URL:    g.Request.URL,
				Header: http.Header{},
				Body:   []byte(g.Request.Body),
			}
			for name, value := range g.Request.Headers {
				want.Header.Set(name, value)
			}

			ev := dialect.Event{
				ID:           g.Event.ID,
				Type:         g.Event.Type,
				Site:         g.Event.Site,
				ResourceKind: g.Event.ResourceKind,
				ResourceID:   g.Event.ResourceID,
				OccurredAt:   g.Event.OccurredAt,
			}
			msg, err := d.Envelope(ev, []byte(g.Data))
			require.NoError(t, err)
			got, err := d.Request(msg, to, dialect.Attempt{Number: 1, At: time.Unix(g.AttemptAt, 0)})
			require.NoError(t, err)
			dialecttest.RequireRequest(t, want, got)
		})
	}
	slices.Sort(seen)
	require.Equal(t, registry.Names(), slices.Compact(seen), "each dialect has a golden request")
}

// The signatures were made by other implementations.
func TestVerifiers_OfTheBodyPassThePublishedVectors(t *testing.T) {
	t.Parallel()
	type vector struct {
		ID     string `json:"id"`
		Scheme string `json:"scheme"`
		Key    string `json:"key"`
		Body   string `json:"body"`
		Header string `json:"header"`
		Value  string `json:"value"`
	}
	type format struct {
		signer   dialect.Signer
		verifier dialect.Verifier
	}
	formats := map[string]format{
		"hub-sha1":        {dialect.HubSigner(&dialect.HubOpts{SHA1: true}), dialect.HubVerifier(&dialect.HubOpts{SHA1: true})},
		"hub-sha256":      {dialect.HubSigner(nil), dialect.HubVerifier(nil)},
		"pywebhooks-sha1": {dialect.PyWebhooksSigner(), dialect.PyWebhooksVerifier()},
		"servo-sha1":      {dialect.ServoSigner(), dialect.ServoVerifier()},
	}
	for _, v := range load[vector](t, "testdata/body_hmac.json") {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			secret, err := dialect.NewTextSecret(v.Key)
			require.NoError(t, err)
			f := formats[v.Scheme]
			h, err := f.signer.Sign(dialect.SignInput{
				ID:      "msg_1",
				Body:    []byte(v.Body),
				Secrets: []dialect.Secret{secret},
			})
			require.NoError(t, err)
			require.Equal(t, v.Value, h.Get(v.Header))
			alone := http.Header{v.Header: {v.Value}}
			require.NoError(t, f.verifier.Verify(alone, []byte(v.Body), []dialect.Secret{secret}, time.Time{}))
		})
	}
}

// What the client libraries of others sign is accepted. The files are made by the
// scripts sign of delivery/testdata/clients.
func TestVerifiers_AcceptWhatClientsOfOthersSigned(t *testing.T) {
	t.Parallel()
	verifiers := map[string]dialect.Verifier{
		"cloudevents":        dialect.CloudEventsVerifier(nil),
		"cloudevents-binary": dialect.CloudEventsVerifier(nil),
		"invenio":            dialect.HubVerifier(&dialect.HubOpts{SHA1: true}),
		"octokit":            dialect.HubVerifier(nil),
		"pywebhooks":         dialect.PyWebhooksVerifier(),
		"servo":              dialect.ServoVerifier(),
		"standardwebhooks":   dialect.StandardVerifier(nil),
		"stripe":             dialect.StripeVerifier(nil),
		"svix":               dialect.StandardVerifier(nil),
	}
	seen := 0
	for _, name := range []string{"clients.json", "clients_python.json"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		var file struct {
			Secret    string `json:"secret"`
			Timestamp int64  `json:"timestamp"`
			Requests  map[string]struct {
				Body    string            `json:"body"`
				Headers map[string]string `json:"headers"`
			} `json:"requests"`
		}
		require.NoError(t, json.Unmarshal(raw, &file))
		secrets, at := []dialect.Secret{parse(t, file.Secret)}, time.Unix(file.Timestamp, 0)
		for name, r := range file.Requests {
			h := http.Header{}
			for header, value := range r.Headers {
				h.Set(header, value)
			}
			require.NoError(t, verifiers[name].Verify(h, []byte(r.Body), secrets, at), name)
			require.ErrorIs(t, verifiers[name].Verify(h, []byte(r.Body+" "), secrets, at), dialect.ErrBadSignature, name)
			seen++
		}
	}
	require.Equal(t, len(verifiers), seen)
}
