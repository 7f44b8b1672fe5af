package dialect

import (
	"crypto"
	_ "crypto/sha1" //nolint:gosec // the format has it: HMAC-SHA1, which no collision breaks
	_ "crypto/sha256"
	"errors"
	"net/http"
	"time"
)

// Hub returns the dialect "hub", in the style of GitHub and WebSub: a POST of the
// bare data, signed by [HubSigner], with the event type in X-Hub-Event and its id in
// X-Hub-Delivery. Neither of these is signed. A [Custom] with Hub as its Base gives
// them other names, such as X-GitHub-Event and X-GitHub-Delivery.
func Hub() *Custom {
	return builtIn(&CustomConfig{
		Envelope: EnvelopeBare,
		EventHeaders: map[string]func(Event) string{
			"X-Hub-Delivery": func(ev Event) string { return ev.ID },
			"X-Hub-Event":    func(ev Event) string { return ev.Type },
		},
		Name:   "hub",
		Signer: HubSigner{},
	})
}

// HubSigner signs the body as GitHub does: X-Hub-Signature-256 is "sha256=" and the
// hex of HMAC-SHA256, by the contract of [BodyHMAC].
type HubSigner struct {
	// SHA1 adds X-Hub-Signature, "sha1=" and the hex of HMAC-SHA1, for receivers
	// that know no other: those of WebSub and PubSubHubbub among them.
	SHA1 bool
}

// Sign implements [Signer].
func (s HubSigner) Sign(in SignInput) (http.Header, error) {
	if s.SHA1 {
		return Signers{hubSHA256(), hubSHA1()}.Sign(in)
	}
	return hubSHA256().Sign(in)
}

// HubVerifier verifies X-Hub-Signature-256, from Riverhook, GitHub or any other
// sender, by the contract of [BodyHMAC].
type HubVerifier struct {
	// IDHeader has the sender's id of an event, for receivers ([Identifier]). Default:
	// X-GitHub-Delivery, and X-Hub-Delivery in a request that has none.
	IDHeader string

	// SHA1 accepts X-Hub-Signature with "sha1=" of a request that has no
	// X-Hub-Signature-256. Default: it is not looked at.
	SHA1 bool
}

// Verify implements [Verifier].
func (v HubVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	err := hubSHA256().Verify(h, body, secrets, now)
	if v.SHA1 && errors.Is(err, ErrMissingHeader) {
		return hubSHA1().Verify(h, body, secrets, now)
	}
	return err
}

func hubSHA256() BodyHMAC {
	return BodyHMAC{
		Hash:   crypto.SHA256,
		Header: "X-Hub-Signature-256",
		Prefix: "sha256=",
	}
}

func hubSHA1() BodyHMAC {
	return BodyHMAC{
		Hash:   crypto.SHA1,
		Header: "X-Hub-Signature",
		Prefix: "sha1=",
	}
}
