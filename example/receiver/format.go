package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

// format is a built-in dialect as its receiver sees it.
type format struct {
	verifier   dialect.Verifier                     // nil: it is not signed, and the URL has a token
	deliveryID func(h http.Header, b []byte) string // of the sender; nil is the default
	proof      string                               // what is verified, for people
}

var formats = map[string]format{
	"cloudevents":        {verifier: dialect.CloudEventsVerifier(nil), proof: "webhook-signature"},
	"cloudevents-binary": {verifier: dialect.CloudEventsVerifier(nil), proof: "webhook-signature"},
	"hub":                {verifier: dialect.HubVerifier(nil), proof: "X-Hub-Signature-256"},
	"plain":              {proof: "token in the URL"},
	"pywebhooks": {
		verifier:   dialect.PyWebhooksVerifier(),
		deliveryID: idInData,
		proof:      "pywebhooks-signature",
	},
	"servo": {
		verifier:   dialect.ServoVerifier(),
		deliveryID: idInData,
		proof:      "X-Servo-Signature",
	},
	"standard": {verifier: dialect.StandardVerifier(nil), proof: "webhook-signature"},
	"stripe":   {verifier: dialect.StripeVerifier(nil), proof: "Stripe-Signature"},
}

// identified is the data of formats that have no place for the id of an event.
type identified struct {
	EventID string          `json:"event_id"`
	Person  json.RawMessage `json:"person"`
}

// withID is the externalizer of these formats. The id is signed with the data.
func withID(_ context.Context, ev dialect.Event) ([]byte, error) {
	return json.Marshal(identified{EventID: ev.ID, Person: ev.Data})
}

// idInData finds it again, in the body or within what servo-webhooks puts around it.
func idInData(_ http.Header, body []byte) string {
	var content struct {
		identified

		Results identified `json:"results"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return "" // the handler refuses a body that is not JSON
	}
	return cmp.Or(content.EventID, content.Results.EventID)
}

// receiverOf is the receiving half of a dialect.
func receiverOf(name string, t task, process receiver.Func) (receiver.Receiver, error) {
	f := formats[name]
	rec := receiver.Receiver{
		DeliveryID: f.deliveryID,
		Func:       process,
		Name:       name,
		Verifier:   f.verifier,
	}
	if f.verifier == nil {
		rec.Tokens = receiver.StaticTokens{"directory": receiver.HashToken(t.Token)}
		return rec, nil
	}
	secret, err := dialect.ReadSecret(t.Secret)
	if err != nil {
		return rec, err
	}
	rec.Secrets = receiver.StaticSecrets(secret)
	return rec, nil
}
