package subscription

import (
	"fmt"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/internal/text"
)

// The ways in which an endpoint proves that it wants what is sent to it. Each answers
// 2xx; docs/verification.md has requests and answers.
const (
	// VerificationChallenge: a POST, signed as deliveries are, of
	// {"type":"riverhook.challenge","challenge":"..."}, which is answered by the
	// challenge: as text, or as the member "challenge" of a JSON object.
	VerificationChallenge Verification = "challenge"

	// VerificationCloudEvents: OPTIONS with WebHook-Request-Origin, which is answered
	// by that origin, or "*", in WebHook-Allowed-Origin (CloudEvents, HTTP 1.1 Web
	// Hooks for Event Delivery 1.0.2, section 4). It has no challenge: an endpoint
	// that allows every origin proves nothing more.
	VerificationCloudEvents Verification = "cloudevents"

	// VerificationEcho: GET with ?echo=..., which is answered by the value as the
	// member "echo" of a JSON object, as in PyWebhooks.
	VerificationEcho Verification = "echo"

	// VerificationRESTHooks: a POST, signed as deliveries are, with a challenge in
	// X-Hook-Secret, which is answered by the same header. It is no signing secret.
	VerificationRESTHooks Verification = "rest_hooks"
)

// Verification is how a URL is proven before anything is sent to it: an engine asks
// the endpoint, which has to give the answer that only one who expects such requests
// gives. "" asks for no proof.
type Verification string

// Verifications are all methods.
func Verifications() []Verification {
	return []Verification{VerificationChallenge, VerificationCloudEvents, VerificationEcho, VerificationRESTHooks}
}

// strength orders the methods by what they prove: an answer that only one who reads the
// request gives; a value that one who sends back a query or a header gives as well;
// a header that can be the same for everybody.
func (v Verification) strength() int {
	switch v {
	case VerificationChallenge:
		return 3
	case VerificationEcho, VerificationRESTHooks:
		return 2
	case VerificationCloudEvents:
		return 1
	default:
		return 0
	}
}

func (c Config) checkVerification(v Verification) error {
	known := c.Verifications
	if known == nil {
		known = Verifications()
	}
	switch {
	case v == "":
		return nil
	case slices.Contains(known, v) && v.strength() >= c.RequireVerification.strength():
		return nil
	case slices.Contains(known, v):
		return fmt.Errorf("%s proves less than %s, which is required", text.Quote(string(v)), text.Quote(string(c.RequireVerification)))
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return fmt.Errorf("%s is not known; known are %s", text.Quote(string(v)), strings.Join(names, ", "))
}
