package delivery

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

// ChallengeEventType is the type of the event as which an endpoint receives a POST that
// asks it to prove that it wants requests.
const ChallengeEventType = verify.EventType

// ErrVerificationThrottled means that a challenge was sent to the endpoint of a
// subscription, or to its host, a moment ago or is under way: try again after
// VerificationRules.Interval, or HostInterval.
var ErrVerificationThrottled = verify.ErrThrottled

// VerifyEndpoint has the endpoint of a subscription prove that it wants requests, at once
// and whatever the schedule says, and returns what the challenge came to: the URL that
// waited to be proven is in force if and only if the outcome is delivered. Otherwise the
// schedule of Config.Verification begins anew. An engine does the same by itself; this
// is for a person who waits for it.
//
// As with Ping, the attempt is not recorded, counts neither for nor against the
// endpoint, and goes through the same egress policy; a request that failed is no
// error. The error is ErrNotFound also when no URL waits to be proven, or when another
// took its place while the request was under way, and ErrVerificationThrottled.
func (e *Engine) VerifyEndpoint(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	a, err := e.verifier.Verify(ctx, subscription)
	if err != nil {
		return nil, fmt.Errorf("delivery: verify the endpoint of subscription %s: %w", subscription, err)
	}
	return publicAttempt(a, e.cfg.ID)
}

func newVerifier(e *Engine) *verify.Verifier {
	rules := &e.cfg.Verification
	return verify.New(verify.Config{
		Frequent: e.frequent,
		Log:      e.log,
		Random:   e.random,
		Rules: verify.Rules{
			HostInterval: rules.hostInterval(),
			Interval:     rules.Interval,
			Origin:       rules.Origin,
			Schedule:     attempt.Schedule(rules.Schedule),
		},
		Send:        e.sendChallenge,
		Store:       e.store,
		TroubleWait: e.troubleWait,
	})
}

// sendChallenge is the verify.Send of an engine.
func (e *Engine) sendChallenge(
	ctx context.Context, c verify.Claim, build func(verify.Endpoint) (dialect.Request, error),
) (got verify.Answer, err error) {
	defer e.at(send.PointAnswered)
	got.Header, got.Body, err = e.requester.Once(ctx, func() (_ *target, built dialect.Request, _ *attempt.Attempt, err error) {
		t, sub, err := e.challengeTarget(ctx, c)
		if err != nil {
			return nil, built, nil, err
		}
		a := attempt.New(&t.Target, time.Now())
		a.Number = c.Tries
		got.Attempt = a
		built, err = build(verify.Endpoint{
			Bare:   t.Bare,
			Method: sub.Verification,
			Post: func(body []byte) (dialect.Request, error) {
				return e.challengePost(ctx, t, sub, body, a)
			},
		})
		return t, built, a, err
	})
	return got, err
}

// challengeTarget is the endpoint of a claim, as its subscription is now.
func (e *Engine) challengeTarget(ctx context.Context, c verify.Claim) (*target, *subscription.Subscription, error) {
	t, sub, _, err := e.pingTarget(ctx, c.SubscriptionID, false)
	if err != nil {
		return nil, nil, err
	}
	if cmp.Or(t.Sub.PendingURL, t.Sub.URL) != c.URL {
		return nil, nil, fmt.Errorf("%w: another URL took its place", ErrNotFound)
	}
	t.Sub.URL = c.URL
	t.Auth = t.Auth.At(c.URL)
	if t.Sub.Timeout == 0 {
		t.Sub.Timeout = e.cfg.Timeout
	}
	t.Sub.Timeout = min(t.Sub.Timeout, verify.AnswerTimeout)
	return t, sub, nil
}

// challengePost is a POST with the headers and the signature of a delivery, and with
// a body that is the same in each dialect.
func (e *Engine) challengePost(
	ctx context.Context, t *target, sub *subscription.Subscription, body []byte, a *attempt.Attempt,
) (built dialect.Request, err error) {
	d, ok := e.cfg.Dialects.Get(t.Dialect)
	if !ok {
		return built, fmt.Errorf("no dialect %q in this process", t.Dialect)
	}
	t.Event = dialect.Event{
		ID:         e.ids.next().String(),
		Type:       ChallengeEventType,
		Site:       string(sub.Site),
		Data:       body,
		OccurredAt: a.StartedAt.UTC(),
	}
	if t.Message, err = decide.Envelope(ctx, nil, d, t.Event, body); err == nil {
		t.Message.Body, t.Message.ContentType = body, "application/json"
		built, err = e.requester.Build(ctx, d, t, a)
	}
	if err != nil {
		return built, fmt.Errorf("dialect: %w", err)
	}
	return built, nil
}
