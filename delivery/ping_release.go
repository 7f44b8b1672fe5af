package delivery

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

// releaseStep is how many planned retries are brought forward in one transaction.
const releaseStep = 500

// releasedReason is shown of a retry until its turn has come.
const releasedReason = "a ping has shown that the endpoint answers again"

// PingOpts say what follows from a ping.
type PingOpts struct {
	// Release sends all that waits for the endpoint when the ping is answered 2xx: a
	// person has mended it. Its circuit is closed, the time that it has asked for
	// (Retry-After) ends, and retries that are planned are due. They go out within
	// about a second, in order, as many at once as the endpoint has slots; each counts
	// as an attempt of its schedule. Nothing is released while the subscription
	// is not active. Default: nothing but the ping is sent.
	Release bool
}

// PingWith is Ping, and does what opts say when it is answered; nil opts are the
// defaults. It returns how many deliveries no longer wait. After an error that comes
// with an attempt some may be released, and another call goes on with the rest.
func (e *Engine) PingWith(ctx context.Context, subscription uuid.UUID, opts *PingOpts) (a *Attempt, released int, err error) {
	a, to, _, err := e.sendPing(ctx, subscription, false)
	if err == nil && opts != nil && opts.Release && a.Outcome == OutcomeDelivered {
		released, err = e.releaseWaiting(ctx, to)
	}
	if a != nil {
		e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: ping", slog.Any("subscription", subscription),
			slog.String("outcome", string(a.Outcome)), slog.Int("status", a.Status), slog.String("error", a.Error),
			slog.String("detail", a.Reason), slog.Duration("took", a.Duration), slog.Int("released", released))
	}
	if err != nil {
		return a, released, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	return a, released, nil
}

// releaseWaiting ends what keeps deliveries from an endpoint. Their turn comes as that
// of other held deliveries does.
func (e *Engine) releaseWaiting(ctx context.Context, to attempt.EndpointKey) (int, error) {
	ended, err := e.store.EndWaits(ctx, &store.EndWaitsParams{SubscriptionID: to.SubscriptionID, URLVersion: to.URLVersion})
	if err != nil || ended.Epoch == 0 {
		return 0, err
	}
	p := &store.HoldRetriesParams{
		SubscriptionID: to.SubscriptionID,
		Epoch:          ended.Epoch,
		Reason:         releasedReason,
		MaxRows:        releaseStep,
	}
	for released := ended.Held; ; {
		step, err := e.store.HoldRetries(ctx, p)
		if err != nil {
			return released, err
		}
		if released += step.Moved; step.Picked < releaseStep {
			return released, nil
		}
		p.After = step.Last
	}
}
