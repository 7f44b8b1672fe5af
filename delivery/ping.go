package delivery

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// PingEventType is the type of the event that Ping sends.
const PingEventType = "riverhook.ping"

// Ping sends a test event to a subscription's endpoint and returns what came of
// it, within the subscription's timeout. It goes out exactly as a delivery does,
// in the same dialect, signed by the same secrets and through the same egress
// policy, whatever the subscription's state is. It is no delivery: it is not
// recorded, not retried, and counts neither for nor against the endpoint. What waits
// for the endpoint goes on waiting; see PingWith. The
// fields DeliveryID, Seq and Round of what it returns are zero.
//
// The error is ErrNotFound, or says why no request could be made; a request that
// failed is an Attempt, not an error.
func (e *Engine) Ping(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	a, _, err := e.PingWith(ctx, subscription, nil)
	return a, err
}

// ConfirmSecret sends a ping that is signed with the one secret of a subscription
// that waits for its confirmation (subscription.RotateOpts.Confirm), and with no
// other. When the receiver answers 2xx it has the secret: from then on requests are
// signed with it, and the overlap of the others begins. What came of the ping is
// returned as by Ping; the secret signs if and only if the outcome is delivered. A
// receiver that answers 2xx without verifying proves nothing.
//
// The error is ErrNotFound also when no secret waits, or when another took its
// place while the request was under way.
func (e *Engine) ConfirmSecret(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	a, err := e.confirmSecret(ctx, subscription)
	if err != nil {
		return nil, fmt.Errorf("delivery: confirm the secret of subscription %s: %w", subscription, err)
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: secret is confirmed", slog.Any("subscription", subscription),
		slog.Bool("confirmed", a.Outcome == OutcomeDelivered), slog.Int("status", a.Status), slog.String("error", a.Error))
	return a, nil
}

func (e *Engine) confirmSecret(ctx context.Context, id uuid.UUID) (*Attempt, error) {
	a, _, secret, err := e.sendPing(ctx, id, true)
	if err != nil || a.Outcome != OutcomeDelivered {
		return a, err
	}
	err = e.subs.ConfirmSecret(ctx, id, secret)
	if errors.Is(err, ErrNotFound) {
		err = ErrNotFound
	}
	return a, err
}

// sendPing sends a ping signed with the secrets in force, or with the one that is
// pending, whose id it returns. The endpoint is the URL that it went to.
func (e *Engine) sendPing(ctx context.Context, id uuid.UUID, pending bool) (out *Attempt, to attempt.EndpointKey, secret uuid.UUID, err error) {
	var a *attempt.Attempt
	_, _, err = e.requester.Once(ctx, func() (t *target, built dialect.Request, _ *attempt.Attempt, err error) {
		var sub *subscription.Subscription
		if t, sub, secret, err = e.pingTarget(ctx, id, pending); err != nil {
			return nil, built, nil, err
		}
		to = t.EndpointKey()
		a = attempt.New(&t.Target, time.Now())
		a.Manual = true
		built, err = e.pingRequest(ctx, t, sub.Site, a)
		return t, built, a, err
	})
	if err != nil {
		return nil, to, secret, err
	}
	if a.Outcome == OutcomeInterrupted && ctx.Err() != nil {
		return nil, to, secret, context.Cause(ctx)
	}
	out, err = publicAttempt(a, e.cfg.ID)
	return out, to, secret, err
}

// pingTarget returns a subscription as the target of an attempt without a delivery, and the
// last of the secrets that it is signed with.
func (e *Engine) pingTarget(
	ctx context.Context, id uuid.UUID, pending bool,
) (t *target, sub *subscription.Subscription, secret uuid.UUID, err error) {
	if e.ended.Load() {
		return nil, nil, secret, ErrNotStarted
	}
	readAt := time.Now()
	sub, err = e.subs.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, secret, ErrNotFound
	}
	if err != nil {
		return nil, nil, secret, err
	}
	rows, err := e.store.ListSecrets(ctx, &store.ListSecretsParams{SubscriptionID: id, Under: string(hierarchy.Root)})
	if err != nil {
		return nil, nil, secret, err
	}
	t = &target{Target: attempt.Target{
		Sub:     send.Subscription(sub),
		Dialect: sub.Dialect,
		ReadAt:  readAt,
	}}
	switch err = send.OpenEndpoint(ctx, e.opener, t); {
	case errors.Is(err, batch.ErrClosed):
		return nil, nil, secret, ErrNotStarted
	case err != nil:
		return nil, nil, secret, fmt.Errorf("endpoint credentials: %w", err)
	}
	for _, row := range rows {
		if row.Pending != pending {
			continue
		}
		opened, err := e.opener.Secret(ctx, nil, sealed.Secret(row.ID, id), sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, nil, secret, err
		}
		t.Secrets, secret = append(t.Secrets, opened), row.ID
	}
	if pending && len(t.Secrets) == 0 {
		return nil, nil, secret, fmt.Errorf("%w: no secret waits to be confirmed", ErrNotFound)
	}
	return t, sub, secret, nil
}

func (e *Engine) pingRequest(ctx context.Context, t *target, site hierarchy.Path, a *attempt.Attempt) (dialect.Request, error) {
	d, ok := e.cfg.Dialects.Get(t.Dialect)
	if !ok {
		return dialect.Request{}, fmt.Errorf("no dialect %q in this process", t.Dialect)
	}
	data, err := json.Marshal(map[string]uuid.UUID{"subscription": t.Sub.ID})
	if err != nil {
		return dialect.Request{}, err
	}
	ev := dialect.Event{
		ID:         e.ids.next().String(),
		Type:       PingEventType,
		Site:       string(site),
		Data:       data,
		OccurredAt: a.StartedAt.UTC(),
	}
	t.Event = ev
	var built dialect.Request
	if t.Message, err = decide.Envelope(ctx, nil, d, ev, data); err == nil {
		built, err = e.requester.Build(ctx, d, t, a)
	}
	if err != nil {
		return dialect.Request{}, fmt.Errorf("dialect: %w", err)
	}
	return built, nil
}

// publicAttempt is an attempt that is not recorded as History shows those that are.
func publicAttempt(a *attempt.Attempt, engine string) (*Attempt, error) {
	out := &Attempt{
		Manual:            a.Manual,
		Number:            a.Number,
		Outcome:           a.Outcome,
		Error:             a.Error,
		Reason:            a.Reason,
		Method:            a.Method,
		Status:            a.Status,
		ReasonPhrase:      a.ReasonPhrase,
		URL:               a.URL,
		ResponseBody:      a.ResponseBody,
		ResponseSHA256:    hex.EncodeToString(a.ResponseSHA256),
		ResponseTruncated: a.ResponseTruncated,
		RetryAfter:        a.RetryAfter,
		Duration:          a.Duration,
		Repeats:           a.Repeats,
		Engine:            engine,
		StartedAt:         a.StartedAt,
	}
	if err := json.Unmarshal([]byte(attempt.HeadersOf(a.RequestHeaders)), &out.RequestHeaders); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(attempt.HeadersOf(a.ResponseHeaders)), &out.ResponseHeaders); err != nil {
		return nil, err
	}
	return out, nil
}
