package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/subscription"
)

const (
	headerAllowedOrigin = "Webhook-Allowed-Origin"
	headerHookSecret    = "X-Hook-Secret"
)

// Endpoint is what a challenge is made for: the endpoint of a subscription, as that was
// read.
type Endpoint struct {
	Method subscription.Verification

	// Bare returns a request without a body, with the headers that the subscription adds.
	Bare func(method string) dialect.Request

	// Post returns a POST of a JSON object, with the headers and the signature of a
	// delivery.
	Post func(body []byte) (dialect.Request, error)
}

// challenge is a request by which an endpoint proves that it wants requests.
type challenge struct {
	method subscription.Verification
	nonce  string // no secret: it is worth something only in the answer to this request
	origin string // VerificationRules.Origin
}

// request makes the request to an endpoint.
func (c challenge) request(to Endpoint) (dialect.Request, error) {
	switch c.method {
	case subscription.VerificationChallenge:
		return post(to, map[string]string{"type": event.Challenge, "challenge": c.nonce})
	case subscription.VerificationRESTHooks:
		built, err := post(to, map[string]string{"type": event.Challenge})
		if err == nil {
			built.Header.Set(headerHookSecret, c.nonce)
		}
		return built, err
	case subscription.VerificationEcho:
		built := to.Bare(http.MethodGet)
		u, err := url.Parse(built.URL)
		if err != nil {
			return built, errors.New("the request could not be built") // the error quotes the URL
		}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&echo="+c.nonce, "&")
		built.URL = u.String()
		built.Header.Set("Accept", "application/json")
		built.Header.Set("Content-Type", "application/json")
		return built, nil
	case subscription.VerificationCloudEvents:
		if c.origin == "" {
			return dialect.Request{}, errors.New("Config.Verification.Origin is not set in the process that tried")
		}
		return to.Bare(http.MethodOptions), nil // each request has the origin in a header
	default:
		return dialect.Request{}, fmt.Errorf("verification %q is not known in the process that tried", c.method)
	}
}

func post(to Endpoint, body map[string]string) (dialect.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return dialect.Request{}, err
	}
	return to.Post(data)
}

// provenBy reports whether an answer, which has a status of 2xx, is that of an endpoint
// that expects the challenge.
func (c challenge) provenBy(header http.Header, body []byte) bool {
	switch c.method {
	case subscription.VerificationChallenge:
		return string(bytes.TrimSpace(body)) == c.nonce || member(body, "challenge") == c.nonce && !repeats(body)
	case subscription.VerificationRESTHooks:
		return header.Get(headerHookSecret) == c.nonce
	case subscription.VerificationEcho:
		return member(body, "echo") == c.nonce
	case subscription.VerificationCloudEvents:
		allowed := header.Get(headerAllowedOrigin)
		return allowed == "*" || strings.EqualFold(allowed, c.origin)
	default:
		return false
	}
}

// repeats reports whether an answer has what no answer to a challenge has, but the
// challenge itself: the endpoint sends back whatever it receives.
func repeats(body []byte) bool { return member(body, "type") == event.Challenge }

// unproven is why an answer proves nothing.
func (c challenge) unproven(body []byte) string {
	reason := attempt.ClassProof + ": the answer does not prove that the endpoint wants requests"
	if c.method == subscription.VerificationChallenge && repeats(body) {
		reason += ": it repeats the request; it must have the challenge without the type"
	}
	return reason
}

// member is a text in a JSON object; "" if there is none.
func member(body []byte, name string) string {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(object[name], &text) != nil {
		return ""
	}
	return text
}
