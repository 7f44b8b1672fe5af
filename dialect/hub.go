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
// X-Hub-Delivery. Neither of these is signed. A dialect of [NewCustom] with Hub as its Base gives
// them other names, such as X-GitHub-Event and X-GitHub-Delivery.
func Hub() Dialect {
	return builtIn(&CustomConfig{
		Envelope: EnvelopeBare,
		EventHeaders: map[string]func(Event) string{
			"X-Hub-Delivery": func(ev Event) string { return ev.ID },
			"X-Hub-Event":    func(ev Event) string { return ev.Type },
		},
		Name:   "hub",
		Signer: HubSigner(nil),
	})
}

// HubOpts are the options of [HubSigner] and [HubVerifier].
type HubOpts struct {
	// IDHeader has the sender's id of an event, for receivers ([Identifier]). Default:
	// X-GitHub-Delivery, and X-Hub-Delivery in a request that has none.
	IDHeader string

	// SHA1 has the signer add X-Hub-Signature, "sha1=" and the hex of HMAC-SHA1, for
	// receivers that know no other: those of WebSub and PubSubHubbub among them. The
	// verifier accepts it of a request that has no X-Hub-Signature-256. Default: it is
	// neither made nor looked at.
	SHA1 bool
}

// HubSigner returns the signer that signs the body as GitHub does: X-Hub-Signature-256 is
// "sha256=" and the hex of HMAC-SHA256, by the contract of [BodyHMAC]. nil opts are the
// defaults.
func HubSigner(opts *HubOpts) Signer {
	if opts != nil && opts.SHA1 {
		return Signers(hubSHA256, hubSHA1)
	}
	return hubSHA256
}

// HubVerifier returns the verifier of X-Hub-Signature-256, from Riverhook, GitHub or any
// other sender, by the contract of [BodyHMAC]. It is an [Identifier]. nil opts are the
// defaults.
func HubVerifier(opts *HubOpts) Verifier {
	if opts == nil {
		return hubVerifier{}
	}
	return hubVerifier(*opts)
}

type hubVerifier HubOpts

var _ Identifier = hubVerifier{}

// Verify implements [Verifier].
func (v hubVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	err := hubSHA256.Verify(h, body, secrets, now)
	if v.SHA1 && errors.Is(err, ErrMissingHeader) {
		return hubSHA1.Verify(h, body, secrets, now)
	}
	return err
}

// DeliveryID implements [Identifier]: it is the value of IDHeader, which is not signed.
func (v hubVerifier) DeliveryID(h http.Header, _ []byte) string {
	if v.IDHeader != "" {
		return firstHeader(h, v.IDHeader)
	}
	if id := firstHeader(h, "X-Github-Delivery"); id != "" {
		return id
	}
	return firstHeader(h, "X-Hub-Delivery")
}

// Pings says that X-GitHub-Event: ping is no event of this format. Package receiver asks.
func (hubVerifier) Pings() bool { return true }

var (
	hubSHA256 = bodyHMAC{
		Hash:   crypto.SHA256,
		Header: "X-Hub-Signature-256",
		Prefix: "sha256=",
	}
	hubSHA1 = bodyHMAC{
		Hash:   crypto.SHA1,
		Header: "X-Hub-Signature",
		Prefix: "sha1=",
	}
)
