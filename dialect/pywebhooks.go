package dialect

import (
	"crypto"
	"net/http"
	"time"
)

// PyWebhooks returns the dialect "pywebhooks", the wire format of the service of
// that name: a POST of the bare data as JSON, the event type in the header event,
// signed by [PyWebhooksSigner]. Its schedule is "pywebhooks", the waits of that service.
//
// The receiver must verify the bytes that came. The sample receiver of PyWebhooks
// decodes them and encodes them again as Python does, so it accepts only data that
// is written like that: ", " and ": " between values, non-ASCII characters escaped.
func PyWebhooks() *Custom {
	return builtIn(&CustomConfig{
		Envelope:     EnvelopeBare,
		EventHeaders: map[string]func(Event) string{"Event": func(ev Event) string { return ev.Type }},
		Headers:      map[string]string{"Accept": ContentTypeJSON},
		Name:         "pywebhooks",
		Schedule:     "pywebhooks",
		Signer:       PyWebhooksSigner{},
	})
}

// PyWebhooksSigner signs the body: pywebhooks-signature is the hex of HMAC-SHA1, by
// the contract of [BodyHMAC].
type PyWebhooksSigner struct{}

// Sign implements [Signer].
func (PyWebhooksSigner) Sign(in SignInput) (http.Header, error) { return pyWebhooksHMAC().Sign(in) }

// PyWebhooksVerifier verifies pywebhooks-signature, by the contract of [BodyHMAC].
type PyWebhooksVerifier struct{}

// Verify implements [Verifier].
func (PyWebhooksVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	return pyWebhooksHMAC().Verify(h, body, secrets, now)
}

func pyWebhooksHMAC() BodyHMAC {
	return BodyHMAC{Hash: crypto.SHA1, Header: "Pywebhooks-Signature"}
}
