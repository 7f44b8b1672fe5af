package dialect

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// headerStripeSignature is the header of [StripeSigner] unless it is given another.
const headerStripeSignature = "Stripe-Signature"

// StripeOpts are the options of [StripeSigner] and [StripeVerifier].
type StripeOpts struct {
	// Header has the signatures. Default: Stripe-Signature.
	Header string

	// Tolerance is how far the timestamp may be from the verifier's now, before or after;
	// exactly that far is still accepted. 0 is 5 minutes; a negative one makes Verify
	// fail. It is nothing to a signer.
	Tolerance time.Duration
}

// Stripe returns the dialect "stripe", in the style of Stripe: a POST signed by
// [StripeSigner], whose body has the form of Stripe's events:
//
//	{"id":"msg_1","object":"event","type":"user.created","created":1777636800,"data":{"object":DATA}}
//
// The id is that of the event, the same on each attempt; created is its time in Unix
// seconds. DATA is the data byte for byte. Data must be JSON in UTF-8; no data is
// null.
func Stripe() Dialect {
	return builtIn(&CustomConfig{
		Envelope: envelopeStripe,
		Name:     "stripe",
		Signer:   StripeSigner(nil),
	})
}

// envelopeStripe is an [Envelope] that has the form of Stripe's events.
func envelopeStripe(ev Event, data []byte) (Content, error) {
	data, err := checkData(data)
	if err != nil {
		return Content{}, err
	}
	body := make([]byte, 0, len(data)+len(ev.ID)+len(ev.Type)+96)
	body = append(body, `{"id":`...)
	body, err = appendString(body, ev.ID)
	if err != nil {
		return Content{}, fmt.Errorf("event id: %w", err)
	}
	body = append(body, `,"object":"event","type":`...)
	body, err = appendString(body, ev.Type)
	if err != nil {
		return Content{}, fmt.Errorf("event type: %w", err)
	}
	body = append(body, `,"created":`...)
	body = strconv.AppendInt(body, ev.OccurredAt.Unix(), 10)
	body = append(body, `,"data":{"object":`...)
	body = append(body, data...)
	return Content{Type: contentTypeJSON, Body: append(body, '}', '}')}, nil
}

// StripeSigner returns the signer that signs as Stripe does, in one header: "t=" and the Unix seconds of the
// attempt, and for each shared secret in their order ",v1=" and the hex of
// HMAC-SHA256 over
//
//	t + "." + body
//
// The key is the text of the secret as the receiver was given it (Reveal of a [Secret]),
// all of a "whsec_...". It fails with [ErrNoSecret] without a shared secret, and
// for a time before 1970. As a [SecretChecker] it takes any text, and no Ed25519 key. nil
// opts are the defaults.
func StripeSigner(opts *StripeOpts) Signer { return stripeSigner{header: opts.header()} }

type stripeSigner struct {
	header string
}

var _ SecretChecker = stripeSigner{}

// Sign implements [Signer].
func (s stripeSigner) Sign(in SignInput) (http.Header, error) {
	if in.At.Unix() <= 0 {
		return nil, errors.New("the time of the attempt is not set")
	}
	secrets, err := sharedSecrets(in.Secrets)
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(in.At.Unix(), 10)
	items := []string{"t=" + at}
	for _, secret := range secrets {
		items = append(items, "v1="+hex.EncodeToString(textMAC(crypto.SHA256, secret, []byte(at+"."), in.Body)))
	}
	h := http.Header{}
	h.Set(s.header, strings.Join(items, ","))
	return h, nil
}

// CheckSecret implements [SecretChecker].
func (stripeSigner) CheckSecret(secret Secret) error { return checkText(secret) }

// StripeVerifier returns the verifier of requests that are signed as Stripe does, from
// Riverhook or any other sender. It is an [Identifier]. Any v1 signature that matches any
// of the secrets passes, also in hex of upper case; other schemes, such as v0, and what is no hex
// are skipped. Comparison takes constant time. Without a secret nothing passes. nil opts are
// the defaults.
//
// A request that passes can still come twice, by a retry or a replay within the
// tolerance: handle each id of the body once.
func StripeVerifier(opts *StripeOpts) Verifier {
	v := stripeVerifier{header: opts.header()}
	if opts != nil {
		v.tolerance = opts.Tolerance
	}
	return v
}

type stripeVerifier struct {
	header    string
	tolerance time.Duration
}

var _ Identifier = stripeVerifier{}

// Verify implements [Verifier].
func (v stripeVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	tolerance, err := toleranceOr(v.tolerance, "StripeOpts")
	if err != nil {
		return err
	}
	value, err := oneHeader(h, v.header)
	if err != nil {
		return err
	}
	var times []string
	var signatures [][]byte
	for item := range strings.SplitSeq(value, ",") {
		switch scheme, text, _ := strings.Cut(strings.TrimSpace(item), "="); scheme {
		case "t":
			times = append(times, text)
		case "v1":
			if signature, err := hex.DecodeString(text); err == nil {
				signatures = append(signatures, signature)
			}
		}
	}
	if len(times) != 1 {
		return fmt.Errorf("%w: %s has %d times", ErrMalformed, v.header, len(times))
	}
	if err := checkTimestamp(v.header, times[0], now, tolerance); err != nil {
		return err
	}
	matches := false
	for _, secret := range secrets {
		if secret.IsZero() { // anyone can sign with an empty key
			continue
		}
		want := textMAC(crypto.SHA256, secret, []byte(times[0]+"."), body)
		for _, got := range signatures {
			if hmac.Equal(want, got) {
				matches = true
			}
		}
	}
	if !matches {
		return ErrBadSignature
	}
	return nil
}

// DeliveryID implements [Identifier]: it is the id in the body, which is signed.
func (stripeVerifier) DeliveryID(_ http.Header, body []byte) string {
	var event struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &event) != nil {
		return ""
	}
	return event.ID
}

func (o *StripeOpts) header() string {
	if o == nil || o.Header == "" {
		return headerStripeSignature
	}
	return o.Header
}
