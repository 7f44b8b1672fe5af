package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

// added are headers that whoever has seen a request can add to it.
var added = []http.Header{
	{},
	{"Webhook-Id": {"other"}},
	{"Svix-Id": {"other"}},
	{"X-Github-Delivery": {"other"}},
	{"X-Hub-Delivery": {"other"}},
	{"Ce-Id": {"other"}, "Ce-Source": {"/other"}},
	{"Content-Type": {"application/cloudevents+json"}},
	{"Stripe-Signature": {"t=1,v1=00"}},
	{"X-Github-Event": {"ping"}},
}

// sent is a request with a body that has an id and a source, by a signer and with headers of
// its own.
func sent(t *testing.T, signer dialect.Signer, own http.Header, at time.Time, secrets []dialect.Secret) (h http.Header, body []byte) {
	t.Helper()
	body = []byte(`{"id":"evt_1","source":"/s","type":"a.b"}`)
	h, err := signer.Sign(dialect.SignInput{
		ID:      "msg_1",
		Type:    "a.b",
		At:      at,
		Body:    body,
		Secrets: secrets,
	})
	require.NoError(t, err)
	h.Set("Content-Type", "application/json")
	maps.Copy(h, own)
	return h, body
}

func TestDeliveryID_IsLookedForInTheOnePlaceOfTheScheme(t *testing.T) {
	t.Parallel()
	secret, err := dialect.NewSecret(bytes.Repeat([]byte("k"), 32))
	require.NoError(t, err)
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	cloudEvent := http.Header{"Content-Type": {"application/cloudevents+json"}}
	ids := http.Header{"X-Github-Delivery": {"g1"}, "X-Acme-Id": {"a1"}}
	acme := http.Header{"X-Acme-Id": {"a1"}}
	withID := dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-Acme-Signature", IDHeader: "X-Acme-Id"})
	withoutID := dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-Acme-Signature"})
	renamed := &dialect.StripeOpts{Header: "X-Signature"}
	for name, tt := range map[string]struct {
		verifier dialect.Verifier
		signer   dialect.Signer
		own      http.Header
		want     string
	}{
		"BodyHMAC":            {withID, withID, acme, "a1"},
		"BodyHMAC without id": {withoutID, withoutID, acme, ""},
		"CloudEvents":         {dialect.CloudEventsVerifier(nil), dialect.StandardSigner(), cloudEvent, "msg_1"},
		"Hub":                 {dialect.HubVerifier(nil), dialect.HubSigner(nil), ids, "g1"},
		"Hub, a header named": {dialect.HubVerifier(&dialect.HubOpts{IDHeader: "X-Acme-Id"}), dialect.HubSigner(nil), ids, "a1"},
		"PyWebhooks":          {dialect.PyWebhooksVerifier(), dialect.PyWebhooksSigner(), nil, ""},
		"Servo":               {dialect.ServoVerifier(), dialect.ServoSigner(), nil, ""},
		"Standard":            {dialect.StandardVerifier(nil), dialect.StandardSigner(), cloudEvent, "msg_1"},
		"Stripe":              {dialect.StripeVerifier(nil), dialect.StripeSigner(nil), nil, "evt_1"},
		"Stripe, renamed":     {dialect.StripeVerifier(renamed), dialect.StripeSigner(renamed), nil, "evt_1"},
	} {
		t.Run(name, func(t *testing.T) {
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
				Verifier: tt.verifier,
			})
			require.NoError(t, err)
			inbox := receiver.NewMemory(registry)
			t.Cleanup(inbox.Close)
			handler, err := receiver.NewHandler(registry, inbox, &receiver.Config{
				BaseURL: "https://app.example.com",
				Logger:  slog.New(slog.DiscardHandler),
				Now:     func() time.Time { return at },
			})
			require.NoError(t, err)
			h, body := sent(t, tt.signer, tt.own, at, []dialect.Secret{secret})

			accepted := 0
			for _, extra := range added {
				req := newRequest(t, http.MethodPost, "/in", body)
				req.Header = h.Clone()
				for header, values := range extra {
					if req.Header.Get(header) == "" || header == "Content-Type" { // else it is another request of the scheme's
						req.Header[header] = values
					}
				}
				if status := record(handler, req); status != http.StatusCreated {
					require.Equal(t, http.StatusOK, status)
					require.Contains(t, name, "Hub", "only GitHub's has pings")
					continue
				}
				accepted++
			}

			require.GreaterOrEqual(t, accepted, len(added)-1)
			want := 1
			if tt.want == "" {
				want = accepted // nothing tells them apart
			}
			require.Len(t, runs, want)
			require.Equal(t, tt.want, runs[0].DeliveryID)
		})
	}
}

func TestDeliveryID_OfARequestOfTheHubDialect(t *testing.T) {
	t.Parallel()
	hub := identifier(t, dialect.HubVerifier(nil))
	require.Equal(t, "h1", hub.DeliveryID(http.Header{"x-hub-delivery": {"h1"}}, nil))
	require.Equal(t, "g1", hub.DeliveryID(http.Header{"X-Hub-Delivery": {"h1"}, "X-GitHub-Delivery": {"g1"}}, nil))
	require.Empty(t, hub.DeliveryID(http.Header{"Webhook-Id": {"w1"}}, []byte(`{"id":"evt_1"}`)))
	acme := identifier(t, dialect.HubVerifier(&dialect.HubOpts{IDHeader: "X-Acme-Id"}))
	require.Empty(t, acme.DeliveryID(http.Header{"X-Github-Delivery": {"g1"}}, nil))
	stripe := identifier(t, dialect.StripeVerifier(nil))
	require.Empty(t, stripe.DeliveryID(nil, []byte(`{"id":7}`)))
	require.Empty(t, stripe.DeliveryID(nil, []byte(`[`)))
}

func identifier(t *testing.T, v dialect.Verifier) dialect.Identifier {
	t.Helper()
	id, ok := v.(dialect.Identifier)
	require.True(t, ok)
	return id
}

// anyone is a verifier of one's own.
type anyone struct{}

func (anyone) Verify(http.Header, []byte, []dialect.Secret, time.Time) error { return nil }

// mine is one that says where the id is.
type mine struct{ anyone }

func (mine) DeliveryID(h http.Header, _ []byte) string { return h.Get("X-Mine") }

func TestDeliveryID_WhereTheSchemeIsNotKnown(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Github-Delivery": {"g1"}, "X-Mine": {"m1"}, "X-Set": {"s1"}}
	for want, rec := range map[string]receiver.Receiver{
		"g1": {Verifier: anyone{}},
		"m1": {Verifier: mine{}},
		"s1": {Verifier: mine{}, DeliveryID: func(h http.Header, _ []byte) string { return h.Get("X-Set") }},
	} {
		rec.Name, rec.Func = "in", func(context.Context, receiver.Event) (receiver.Response, error) {
			return receiver.Response{}, errors.New("is not called")
		}
		registry, err := receiver.NewRegistry(rec)
		require.NoError(t, err)
		got, _ := registry.Get("in")
		require.Equal(t, want, got.DeliveryID(h, nil))
	}
	require.Equal(t, "g1", receiver.DeliveryID(h, nil))
}
