package delivery

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// Ping sends a test event ([event.Ping]) to a subscription's endpoint and returns what
// came of it, within the subscription's timeout. It goes out exactly as a delivery does,
// in the same dialect, signed by the same secrets and through the same egress
// policy, whatever the subscription's state is. It is no delivery: it is not
// recorded, not retried, and counts neither for nor against the endpoint. The
// fields DeliveryID, Seq and Round of what it returns are zero.
//
// What waits for the endpoint goes on waiting, unless opts say otherwise; nil opts are the
// defaults. Ping also returns how many deliveries no longer wait.
//
// The error is ErrNotFound, or says why no request could be made; a request that
// failed is an Attempt, not an error. After an error that comes with an attempt some
// deliveries may be released, and another call goes on with the rest.
func (h *Handle) Ping(ctx context.Context, subscription uuid.UUID, opts *PingOpts) (a *Attempt, released int, err error) {
	if err := h.allowed(ctx, h.store, subscription, access.VerbSend); err != nil {
		return nil, 0, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	if err := h.learnClock(ctx, writeTimeout); err != nil {
		return nil, 0, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	sent, err := h.pinger.Ping(ctx, subscription, false)
	if err == nil {
		a, err = publicAttempt(sent.Attempt, h.engine)
	}
	if err == nil && opts != nil && opts.Release && a.Outcome == OutcomeDelivered {
		released, err = h.pinger.Release(ctx, sent.Endpoint)
	}
	if a != nil {
		h.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: ping", slog.Any("subscription", subscription),
			slog.String("outcome", string(a.Outcome)), slog.Int("status", a.Status), slog.String("error", a.Error),
			slog.String("detail", a.Reason), slog.Duration("took", a.Duration), slog.Int("released", released))
		h.hide(a)
	}
	if err != nil {
		return a, released, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	return a, released, nil
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
func (h *Handle) ConfirmSecret(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	if err := h.allowed(ctx, h.store, subscription, access.VerbSecret); err != nil {
		return nil, fmt.Errorf("delivery: confirm the secret of subscription %s: %w", subscription, err)
	}
	a, err := h.confirmSecret(ctx, subscription)
	if err != nil {
		return nil, fmt.Errorf("delivery: confirm the secret of subscription %s: %w", subscription, err)
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: secret is confirmed", slog.Any("subscription", subscription),
		slog.Bool("confirmed", a.Outcome == OutcomeDelivered), slog.Int("status", a.Status), slog.String("error", a.Error))
	h.hide(a)
	return a, nil
}

func (h *Handle) confirmSecret(ctx context.Context, id uuid.UUID) (*Attempt, error) {
	if err := h.learnClock(ctx, writeTimeout); err != nil {
		return nil, err
	}
	sent, err := h.pinger.Ping(ctx, id, true)
	if err != nil {
		return nil, err
	}
	if sent.Attempt.Outcome == OutcomeDelivered {
		err = h.subs.ConfirmSecret(ctx, id, sent.Secret)
		if errors.Is(err, ErrNotFound) {
			err = ErrNotFound
		}
	}
	a, publicErr := publicAttempt(sent.Attempt, h.engine)
	return a, cmp.Or(publicErr, err)
}

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
