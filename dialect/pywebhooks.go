package dialect

import "crypto"

// PyWebhooks returns the dialect "pywebhooks", the wire format of the service of
// that name: a POST of the bare data as JSON, the event type in the header event,
// signed by [PyWebhooksSigner]. Its schedule is "pywebhooks", the waits of that service.
//
// The receiver must verify the bytes that came. The sample receiver of PyWebhooks
// decodes them and encodes them again as Python does, so it accepts only data that
// is written like that: ", " and ": " between values, non-ASCII characters escaped.
func PyWebhooks() Dialect {
	return builtIn(&CustomConfig{
		Envelope:     EnvelopeBare,
		EventHeaders: map[string]func(Event) string{"Event": func(ev Event) string { return ev.Type }},
		Headers:      map[string]string{"Accept": contentTypeJSON},
		Name:         "pywebhooks",
		Schedule:     "pywebhooks",
		Signer:       PyWebhooksSigner(),
	})
}

// PyWebhooksSigner returns the signer that signs the body: pywebhooks-signature is the hex of
// HMAC-SHA1, by the contract of [BodyHMAC].
func PyWebhooksSigner() Signer { return pyWebhooksHMAC }

// PyWebhooksVerifier returns the verifier of pywebhooks-signature, by the contract of [BodyHMAC].
// As an [Identifier] it says that the format has no ids.
func PyWebhooksVerifier() Verifier { return pyWebhooksHMAC }

var pyWebhooksHMAC = bodyHMAC{Hash: crypto.SHA1, Header: "Pywebhooks-Signature"}
