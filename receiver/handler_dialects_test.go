package receiver_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

// What an engine sends in each dialect is accepted, with the id by which it is
// known again, and not when a byte of it is another.
func TestHandler_RequestsOfEachDialectAreVerified(t *testing.T) {
	t.Parallel()
	secret, err := dialect.NewSecret(bytes.Repeat([]byte("k"), 32))
	require.NoError(t, err)
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	verifiers := map[string]dialect.Verifier{
		"hub": dialect.HubVerifier(nil), "pywebhooks": dialect.PyWebhooksVerifier(), "servo": dialect.ServoVerifier(),
		"cloudevents": dialect.StandardVerifier(nil), "cloudevents-binary": dialect.StandardVerifier(nil),
		"standard": dialect.StandardVerifier(nil), "stripe": dialect.StripeVerifier(nil),
	}
	withoutID := map[string]bool{"pywebhooks": true, "servo": true}
	for _, d := range dialect.BuiltIn() {
		if d.Name() == "plain" { // it signs nothing
			continue
		}
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			var runs []receiver.Event
			registry, err := receiver.NewRegistry(receiver.Receiver{
				Func: func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
					runs = append(runs, ev)
					return receiver.Response{}, nil
				},
				Name:     "in",
				Secrets:  receiver.StaticSecrets(secret),
				Sync:     true,
				Verifier: verifiers[d.Name()],
			})
			require.NoError(t, err)
			inbox := receiver.NewMemory(registry)
			t.Cleanup(inbox.Close)
			handler, err := receiver.NewHandler(registry, inbox, &receiver.Config{
				BaseURL: "https://app.example.com", Now: func() time.Time { return at.Add(time.Minute) },
			})
			require.NoError(t, err)
			msg, err := d.Envelope(dialect.Event{
				ID:         "msg_1",
				Type:       "user.created",
				Site:       "/noaa",
				OccurredAt: at,
			}, []byte(`{"id":7}`))
			require.NoError(t, err)
			req, err := d.Request(msg, dialect.Destination{URL: "/in", Secrets: []dialect.Secret{secret}}, dialect.Attempt{Number: 1, At: at})
			require.NoError(t, err)

			tampered := bytes.Replace(req.Body, []byte("7"), []byte("8"), 1)
			require.Equal(t, http.StatusUnauthorized, serve(t, handler, req, tampered))
			require.Equal(t, http.StatusCreated, serve(t, handler, req, req.Body))
			require.Equal(t, http.StatusCreated, serve(t, handler, req, req.Body))

			require.Equal(t, string(req.Body), string(runs[0].Body))
			if withoutID[d.Name()] {
				require.Empty(t, runs[0].DeliveryID)
				require.Len(t, runs, 2, "nothing tells them apart")
			} else {
				require.Equal(t, "msg_1", runs[0].DeliveryID)
				require.Len(t, runs, 1, "the second is the first once more")
			}
		})
	}
}

func serve(t *testing.T, handler http.Handler, req dialect.Request, body []byte) int {
	t.Helper()
	r := newRequest(t, req.Method, req.URL, body)
	r.Header = req.Header.Clone()
	return record(handler, r)
}

func newRequest(t *testing.T, method, url string, body []byte) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
}

func record(handler http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

func TestDeliveryID_OfTheKnownFormats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, want string
		header           http.Header
	}{
		{"Standard Webhooks", `{}`, "msg_1", http.Header{"Webhook-Id": {"msg_1"}}},
		{"Svix", `{}`, "msg_1", http.Header{"Svix-Id": {"msg_1"}}},
		{"GitHub", `{}`, "g1", http.Header{"X-Github-Delivery": {"g1"}}},
		{"Hub", `{}`, "h1", http.Header{"X-Hub-Delivery": {"h1"}}},
		{"binary CloudEvents", `{}`, "/s 1", http.Header{"Ce-Id": {"1"}, "Ce-Source": {"/s"}}},
		{"structured CloudEvents", `{"id":"1","source":"/s"}`, "/s 1", http.Header{"Content-Type": {"application/cloudevents+json"}}},
		{"Stripe", `{"id":"evt_1"}`, "evt_1", http.Header{"Stripe-Signature": {"t=1"}}},
		{"the id of a resource is none", `{"id":"7"}`, "", http.Header{"Content-Type": {"application/json"}}},
		{"an id that is no text", `{"id":7}`, "", http.Header{"Stripe-Signature": {"t=1"}}},
	} {
		require.Equal(t, tt.want, receiver.DeliveryID(tt.header, []byte(tt.body)), tt.name)
	}
}
