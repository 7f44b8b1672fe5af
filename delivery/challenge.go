package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// ChallengeEventType is the type of the event as which an endpoint gets a POST that
// asks it to prove that it wants what is sent to it.
const ChallengeEventType = "riverhook.challenge"

const (
	headerAllowedOrigin = "Webhook-Allowed-Origin"
	headerHookSecret    = "X-Hook-Secret"
)

// challengeRequest is what asks the endpoint of a target. The nonce is no secret: it
// is worth something only in the answer to this request.
func (e *Engine) challengeRequest(
	ctx context.Context, t *target, sub *subscription.Subscription, nonce string, a *attempt.Attempt,
) (built dialect.Request, err error) {
	switch sub.Verification {
	case subscription.VerificationChallenge:
		return e.challengePost(ctx, t, sub.Site, map[string]string{"type": ChallengeEventType, "challenge": nonce}, a)
	case subscription.VerificationRESTHooks:
		if built, err = e.challengePost(ctx, t, sub.Site, map[string]string{"type": ChallengeEventType}, a); err == nil {
			built.Header.Set(headerHookSecret, nonce)
		}
		return built, err
	case subscription.VerificationEcho:
		built = t.Bare(http.MethodGet)
		u, err := url.Parse(built.URL)
		if err != nil {
			return built, send.ErrNotBuilt
		}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&echo="+nonce, "&")
		built.URL = u.String()
		built.Header.Set("Accept", "application/json")
		built.Header.Set("Content-Type", "application/json")
		return built, nil
	case subscription.VerificationCloudEvents:
		if e.cfg.Verification.Origin == "" {
			return built, errors.New("Config.Verification.Origin is not set in this process")
		}
		return t.Bare(http.MethodOptions), nil // post sets the origin, as for each request
	default:
		return built, fmt.Errorf("verification %q is not known in this process", sub.Verification)
	}
}

// challengePost is a POST with the headers and the signature of a delivery, and with
// a body that is the same in each dialect.
func (e *Engine) challengePost(
	ctx context.Context, t *target, site hierarchy.Path, body map[string]string, a *attempt.Attempt,
) (built dialect.Request, err error) {
	d, ok := e.cfg.Dialects.Get(t.Dialect)
	if !ok {
		return built, fmt.Errorf("no dialect %q in this process", t.Dialect)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return built, err
	}
	t.Event = dialect.Event{
		ID:         e.ids.next().String(),
		Type:       ChallengeEventType,
		Site:       string(site),
		Data:       data,
		OccurredAt: a.StartedAt.UTC(),
	}
	if t.Message, err = decide.Envelope(ctx, nil, d, t.Event, data); err == nil {
		t.Message.Body, t.Message.ContentType = data, "application/json"
		built, err = e.requester.Build(ctx, d, t, a)
	}
	if err != nil {
		return built, fmt.Errorf("dialect: %w", err)
	}
	return built, nil
}

// proves says whether an answer, which has a status of 2xx, is that of an endpoint
// that expects to be asked.
func proves(method subscription.Verification, nonce, origin string, header http.Header, body []byte) bool {
	switch method {
	case subscription.VerificationChallenge:
		return string(bytes.TrimSpace(body)) == nonce || member(body, "challenge") == nonce && !repeats(body)
	case subscription.VerificationRESTHooks:
		return header.Get(headerHookSecret) == nonce
	case subscription.VerificationEcho:
		return member(body, "echo") == nonce
	case subscription.VerificationCloudEvents:
		allowed := header.Get(headerAllowedOrigin)
		return allowed == "*" || strings.EqualFold(allowed, origin)
	default:
		return false
	}
}

// repeats says whether an answer has what no answer to a challenge has, but the challenge
// itself: it is that of an endpoint that sends back whatever comes.
func repeats(body []byte) bool { return member(body, "type") == ChallengeEventType }

// unprovenBy is why an answer proves nothing.
func unprovenBy(method subscription.Verification, body []byte) string {
	reason := attempt.ClassProof + ": the answer does not prove that the endpoint wants requests"
	if method == subscription.VerificationChallenge && repeats(body) {
		reason += ": it repeats the request; it must have the challenge without the type"
	}
	return reason
}

// member is a text in a JSON object; "" where there is none.
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
