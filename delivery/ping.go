package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
)

// PingEventType is the type of the event that Ping sends.
const PingEventType = "riverhook.ping"

// Ping sends a test event to a subscription's endpoint and returns what came of
// it, within the subscription's timeout. It goes out exactly as a delivery does,
// in the same dialect, signed by the same secrets and through the same egress
// policy, whatever the subscription's state is. It is no delivery: it is not
// recorded, not retried, and counts neither for nor against the endpoint. The
// fields DeliveryID, Seq and Round of what it returns are zero.
//
// The error is ErrNotFound, or says why no request could be made; a request that
// failed is an Attempt, not an error.
func (e *Engine) Ping(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	a, err := e.ping(ctx, subscription)
	if err != nil {
		return nil, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: ping", slog.Any("subscription", subscription),
		slog.String("outcome", string(a.Outcome)), slog.Int("status", a.Status), slog.String("error", a.Error),
		slog.String("detail", a.Reason), slog.Duration("took", a.Duration))
	return a, nil
}

func (e *Engine) ping(ctx context.Context, id uuid.UUID) (*Attempt, error) {
	t, err := e.pingTarget(ctx, id)
	if err != nil {
		return nil, err
	}
	a := &attempt{Number: 1, Manual: true, StartedAt: time.Now(), URL: publicURL(t.Sub.URL)}
	built, err := e.pingRequest(t, a)
	if err != nil {
		return nil, err
	}
	select {
	case e.inFlight <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	e.send(ctx, t, built, a)
	<-e.inFlight
	if a.Outcome == OutcomeInterrupted && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return a.public(e.cfg.ID)
}

func (e *Engine) pingTarget(ctx context.Context, id uuid.UUID) (*target, error) {
	sub, err := e.subs.Get(ctx, id)
	if errors.Is(err, hierarchy.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	secrets, err := e.subs.Secrets(ctx, id)
	if err != nil {
		return nil, err
	}
	t := &target{Sub: *sub, Dialect: sub.Dialect}
	for _, secret := range secrets {
		parsed, err := dialect.ParseSecret(secret.Reveal())
		if err != nil {
			return nil, err
		}
		t.Secrets = append(t.Secrets, parsed)
	}
	return t, nil
}

func (e *Engine) pingRequest(t *target, a *attempt) (dialect.Request, error) {
	d, ok := e.cfg.Dialects.Get(t.Dialect)
	if !ok {
		return dialect.Request{}, fmt.Errorf("no dialect %q in this process", t.Dialect)
	}
	data, err := json.Marshal(map[string]uuid.UUID{"subscription": t.Sub.ID})
	if err != nil {
		return dialect.Request{}, err
	}
	ev := dialect.Event{ID: newID().String(), Type: PingEventType, Site: string(t.Sub.Site), Data: data, OccurredAt: a.StartedAt.UTC()}
	built, err := guarded(func() (dialect.Request, error) {
		msg, err := d.Envelope(ev, data)
		if err != nil {
			return dialect.Request{}, err
		}
		return d.Request(msg,
			dialect.Destination{URL: t.Sub.URL, Headers: t.Sub.Headers, Secrets: t.Secrets},
			dialect.Attempt{Number: a.Number, At: a.StartedAt})
	})
	if err != nil {
		return dialect.Request{}, fmt.Errorf("dialect: %w", err)
	}
	return built, nil
}

// public is an attempt that is not recorded as History shows those that are.
func (a *attempt) public(engine string) (*Attempt, error) {
	out := &Attempt{
		Manual: a.Manual, Number: a.Number, Outcome: a.Outcome, Error: a.Error, Reason: a.Reason, Status: a.Status, URL: a.URL,
		ResponseBody: a.ResponseBody, ResponseTruncated: a.ResponseTruncated, RetryAfter: a.RetryAfter, Duration: a.Duration,
		Engine: engine, StartedAt: a.StartedAt,
	}
	if err := json.Unmarshal([]byte(orEmptyObject(a.RequestHeaders)), &out.RequestHeaders); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(orEmptyObject(a.ResponseHeaders)), &out.ResponseHeaders); err != nil {
		return nil, err
	}
	return out, nil
}
