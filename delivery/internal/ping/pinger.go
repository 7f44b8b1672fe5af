// Package ping makes requests to the endpoint of a subscription outside of any delivery:
// pings, by which a secret is confirmed too, and the challenges of verification.
package ping

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// Pinger makes the requests. It is safe for concurrent use.
type Pinger struct {
	Dialects      *dialect.Registry
	NewID         func() uuid.UUID // of an event
	Opener        *credentials.Opener
	Process       *slots.Turns
	Requester     *send.Requester
	Running       func() error                   // an error after the end of the engine
	ShareOf       func(t *attempt.Target) string // the name of the share of a request
	Store         *store.Queries
	Subscriptions *subscription.Store
}

// Pinged is a ping that went out.
type Pinged struct {
	Attempt  *attempt.Attempt
	Endpoint attempt.EndpointKey // that it went to
	Secret   uuid.UUID           // the last one that signed it
}

// Ping sends a test event, signed with the secrets in force, or with the one that is
// pending. The error is a notfound.Err if there is no such subscription or no pending
// secret, or says why there was no request.
func (p *Pinger) Ping(ctx context.Context, id uuid.UUID, pending bool) (Pinged, error) {
	var out Pinged
	_, _, err := p.once(ctx, func() (in *send.Input, built dialect.Request, _ *attempt.Attempt, err error) {
		in, sub, secret, err := p.read(ctx, id, pending)
		if err != nil {
			return nil, built, nil, err
		}
		data, err := json.Marshal(map[string]uuid.UUID{"subscription": id})
		if err != nil {
			return nil, built, nil, err
		}
		out.Attempt = attempt.New(&in.Target, time.Now())
		out.Attempt.Manual = true
		out.Endpoint = in.EndpointKey()
		out.Secret = secret
		built, err = p.post(ctx, in, out.Attempt, sample{
			data:     data,
			envelope: true,
			site:     sub.Site,
			typ:      event.Ping,
		})
		return in, built, out.Attempt, err
	})
	if err == nil && out.Attempt.Outcome == attempt.OutcomeInterrupted && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out, err
}

// read returns a subscription as the input of an attempt without a delivery, and the last
// of the secrets that it is signed with.
func (p *Pinger) read(ctx context.Context, id uuid.UUID, pending bool) (
	in *send.Input, sub *subscription.Subscription, secret uuid.UUID, err error,
) {
	if err := p.Running(); err != nil {
		return nil, nil, secret, err
	}
	readAt := time.Now()
	sub, err = p.Subscriptions.Get(ctx, id)
	if errors.Is(err, notfound.Err) {
		return nil, nil, secret, notfound.Err
	}
	if err != nil {
		return nil, nil, secret, err
	}
	rows, err := p.Store.ListSecrets(ctx, &store.ListSecretsParams{SubscriptionID: id, Under: string(hierarchy.Root)})
	if err != nil {
		return nil, nil, secret, err
	}
	in = &send.Input{Target: attempt.Target{
		Sub:     send.Subscription(sub),
		Dialect: sub.Dialect,
		ReadAt:  readAt,
	}}
	switch err = send.OpenEndpoint(ctx, p.Opener, in); {
	case errors.Is(err, batch.ErrClosed): // the engine ended meanwhile
		return nil, nil, secret, cmp.Or(p.Running(), err)
	case err != nil:
		return nil, nil, secret, fmt.Errorf("endpoint credentials: %w", err)
	}
	for _, row := range rows {
		if row.Pending != pending {
			continue
		}
		opened, err := p.Opener.Secret(ctx, nil, sealed.Secret(row.ID, id), sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, nil, secret, err
		}
		in.Secrets = append(in.Secrets, opened)
		secret = row.ID
	}
	if pending && len(in.Secrets) == 0 {
		return nil, nil, secret, fmt.Errorf("%w: no secret waits to be confirmed", notfound.Err)
	}
	return in, sub, secret, nil
}

// sample is the event that a request carries.
type sample struct {
	data     []byte // JSON
	envelope bool   // data is sent in the envelope of the dialect; otherwise it is the body
	site     hierarchy.Path
	typ      string
}

// post is a request with the headers and the signature of a delivery.
func (p *Pinger) post(ctx context.Context, in *send.Input, a *attempt.Attempt, ev sample) (built dialect.Request, err error) {
	d, ok := p.Dialects.Get(in.Dialect)
	if !ok {
		return built, fmt.Errorf("no dialect %q in this process", in.Dialect)
	}
	in.Event = dialect.Event{
		ID:         p.NewID().String(),
		Type:       ev.typ,
		Site:       string(ev.site),
		Data:       ev.data,
		OccurredAt: p.Requester.Clock().UTC(),
	}
	if in.Message, err = decide.Envelope(ctx, nil, d, in.Event, ev.data); err == nil {
		if !ev.envelope {
			in.Message.Body = ev.data
			in.Message.ContentType = "application/json"
		}
		built, err = p.Requester.Sign(ctx, d, in, a)
	}
	if err != nil {
		return built, fmt.Errorf("dialect: %w", err)
	}
	return built, nil
}
