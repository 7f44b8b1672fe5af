package dialect

import (
	"crypto"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderStripeSignature is the header of [StripeSigner] unless it is given another.
const HeaderStripeSignature = "Stripe-Signature"

// Stripe returns the dialect "stripe", in the style of Stripe: a POST of
// [EnvelopeStripe], signed by [StripeSigner].
func Stripe() *Custom {
	return builtIn(&CustomConfig{
		Envelope: EnvelopeStripe,
		Name:     "stripe",
		Signer:   StripeSigner{},
	})
}

// EnvelopeStripe has the form of Stripe's events:
//
//	{"id":"msg_1","object":"event","type":"user.created","created":1777636800,"data":{"object":DATA}}
//
// The id is that of the event, the same on each attempt; created is its time in Unix
// seconds. DATA is the data byte for byte. Data must be JSON in UTF-8; no data is
// null.
func EnvelopeStripe(ev Event, data []byte) (Content, error) {
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
	return Content{Type: ContentTypeJSON, Body: append(body, '}', '}')}, nil
}

// StripeSigner signs as Stripe does, in one header: "t=" and the Unix seconds of the
// attempt, and for each shared secret in their order ",v1=" and the hex of
// HMAC-SHA256 over
//
//	t + "." + body
//
// The key is the text of the secret as the receiver was given it ([Secret.Reveal]),
// all of a "whsec_...". It fails with [ErrNoSecret] without a shared secret, and
// for a time before 1970.
type StripeSigner struct {
	// Header has the signatures. Default: Stripe-Signature.
	Header string
}

// Sign implements [Signer].
func (s StripeSigner) Sign(in SignInput) (http.Header, error) {
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
	h.Set(stripeHeader(s.Header), strings.Join(items, ","))
	return h, nil
}

// StripeVerifier verifies requests that are signed as Stripe does, from Riverhook or
// any other sender. The zero value is ready to use. Any v1 signature that matches any
// of the secrets passes, also in hex of upper case; other schemes, such as v0, and what is no hex
// are skipped. Comparison takes constant time. Without a secret nothing passes.
//
// A request that passes can still come twice, by a retry or a replay within the
// tolerance: handle each id of the body once.
type StripeVerifier struct {
	// Header has the signatures. Default: Stripe-Signature.
	Header string

	// Tolerance is how far the timestamp may be from now, before or after;
	// exactly that far is still accepted. 0 is 5 minutes; a negative one
	// makes Verify fail.
	Tolerance time.Duration
}

// Verify implements [Verifier].
func (v StripeVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	tolerance, err := toleranceOr(v.Tolerance, "StripeVerifier")
	if err != nil {
		return err
	}
	name := stripeHeader(v.Header)
	value, err := oneHeader(h, name)
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
		return fmt.Errorf("%w: %s has %d times", ErrMalformed, name, len(times))
	}
	if err := checkTimestamp(name, times[0], now, tolerance); err != nil {
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

func stripeHeader(name string) string {
	if name == "" {
		return HeaderStripeSignature
	}
	return name
}
