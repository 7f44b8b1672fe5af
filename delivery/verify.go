package delivery

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
)

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
func (h *Handle) VerifyEndpoint(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	if err := h.allowed(ctx, h.store, subscription, access.VerbSend); err != nil {
		return nil, fmt.Errorf("delivery: verify the endpoint of subscription %s: %w", subscription, err)
	}
	var sent *attempt.Attempt
	err := h.learnClock(ctx, writeTimeout)
	if err == nil {
		sent, err = h.verifier.Verify(ctx, subscription)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery: verify the endpoint of subscription %s: %w", subscription, err)
	}
	a, err := publicAttempt(sent, h.engine)
	if err != nil {
		return nil, err
	}
	h.hide(a)
	return a, nil
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
		Send: func(ctx context.Context, c verify.Claim, build func(verify.Endpoint) (dialect.Request, error)) (verify.Answer, error) {
			defer e.at(send.PointAnswered)
			return e.pinger.Challenge(ctx, c, build)
		},
		Store:       e.store,
		TroubleWait: e.clock.TroubleWait,
	})
}
