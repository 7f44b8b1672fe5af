package send

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/exchange"
)

// MaxRereads is how often an attempt begins anew because its subscription has changed
// while it was prepared.
const MaxRereads = 3

// headerRequestOrigin names the sender of a request (HTTP webhooks for CloudEvents).
const headerRequestOrigin = "Webhook-Request-Origin"

// ErrOvertaken means that no request was made, because what it was made from has changed
// since that was read.
var ErrOvertaken = errors.New("its subscription was changed meanwhile")

// Requester makes the requests of attempts. It is safe for concurrent use.
type Requester struct {
	Answers         Answers
	Clock           func() time.Time // of the database: what receivers see of the time, and compare with theirs
	Clients         *credentials.Clients
	MaxRequestBytes int
	Now             func() time.Time // for the validity of tokens
	Origin          string           // of each request; "": none is named
	Payloads        *payloads.Pool
	Rereader        *Rereader
	Timeout         Timeout
}

// Timeout bounds a request, its answer included.
type Timeout struct {
	Default time.Duration // of one whose subscription names none
	Most    time.Duration // of any, whatever its subscription says
}

// Send makes the request and enters in the attempt what came of it. The timeout is for the
// whole of it, the body of the answer included. It returns the headers of the answer, and
// of its body what was read. If it sets a.Overtaken it made no request.
func (r *Requester) Send(ctx context.Context, in *Input, built dialect.Request, a *attempt.Attempt) (header http.Header, body []byte) {
	if more := uncounted(in, built.Body); more > 0 {
		r.Payloads.Count(more)
		defer r.Payloads.Uncount(more)
	}
	job := ctx
	a.Method = built.Method
	ctx, cancel := context.WithTimeout(job, r.Timeout.of(in))
	defer cancel()
	var x exchange.Exchange
	resp, err := r.exchange(exchange.With(ctx, &x), in, built, a)
	if errors.Is(err, ErrOvertaken) {
		a.Overtaken = true
		return nil, nil
	}
	a.Repeats = x.Repeats
	if err == nil {
		header = resp.Header
		a.Received(resp)
		var complete bool
		a.ResponseHeaders, complete = r.Answers.Headers.Record(header, in.Headers())
		body, err = r.Answers.read(resp, in, a)
		a.ResponseTruncated = a.ResponseTruncated || !complete
	}
	a.Duration = time.Since(a.StartedAt)
	if err != nil && job.Err() != nil {
		err = context.Canceled // net/http tells the cause instead, which is any error of River's
	}
	a.RetryAfter, a.Asked = attempt.RetryAfter(a.Status, header, r.Clock(), r.Answers.ThrottleWait)
	a.Conclude(classify(a.Status, a.RetryAfter > 0, err))
	a.Unanswered = a.Outcome == attempt.OutcomeUnreachable && x.Unanswered
	r.Answers.conclude(in, a, header, body)
	return header, body
}

// uncounted is how many bytes of the body of a request are not yet counted as those of a
// payload: all of those that a dialect has made for this request.
func uncounted(in *Input, body []byte) int {
	if len(body) <= payloads.Inline {
		return 0
	}
	if msg := in.Message.Body; in.Payloads != nil && len(msg) == len(body) && &msg[0] == &body[0] {
		return 0
	}
	return len(body)
}

// of is the timeout of a request.
func (t Timeout) of(in *Input) time.Duration { return min(cmp.Or(in.Sub.Timeout, t.Default), t.Most) }

// exchange sends the request, with the credentials of its subscription if there are
// any, and returns the answer. A token that was kept from an earlier request can
// have been withdrawn: if the answer to one is 401 the request is sent again, once,
// with a new one, unless its subscription was changed since. The error is of the
// request, or of the one for a token; ErrOvertaken if no request was made that can have
// been processed.
func (r *Requester) exchange(ctx context.Context, in *Input, built dialect.Request, a *attempt.Attempt) (*http.Response, error) {
	client := r.Clients.For(in.Auth)
	authorization, fresh, err := in.Auth.Authorization(ctx, client, "", r.Now())
	if err != nil {
		return nil, err
	}
	resp, err := r.post(ctx, client, in, built, authorization, a)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || fresh {
		return resp, err
	}
	refused := resp
	_ = refused.Body.Close() // its connection may be needed for the token
	refused.Body = http.NoBody
	if authorization, _, err = in.Auth.Authorization(ctx, client, authorization, r.Now()); err != nil {
		return nil, err
	}
	if resp, err = r.post(ctx, client, in, built, authorization, a); errors.Is(err, ErrOvertaken) {
		return refused, nil
	}
	return resp, err
}

// post makes one request, if what it was made from is still in force.
func (r *Requester) post(
	ctx context.Context, client *http.Client, in *Input, built dialect.Request, authorization string, a *attempt.Attempt,
) (*http.Response, error) {
	if !r.isCurrent(ctx, in) {
		return nil, ErrOvertaken
	}
	overtaken := false
	ctx = exchange.AskBeforeRepeats(ctx, func() bool {
		overtaken = !r.isCurrent(ctx, in)
		return !overtaken
	})
	req, err := http.NewRequestWithContext(ctx, built.Method, built.URL, bytes.NewReader(built.Body))
	if err != nil {
		return nil, ErrNotBuilt
	}
	if built.Header != nil {
		req.Header = built.Header
	}
	if origin := r.Origin; origin != "" {
		req.Header.Set(headerRequestOrigin, origin)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	a.RequestHeaders, _ = r.Answers.Headers.Record(req.Header, in.Headers())
	resp, err := client.Transport.RoundTrip(req) // no redirect is followed, so that there is nothing else for Client.Do
	if overtaken {                               // what was sent was certainly not processed
		return nil, ErrOvertaken
	}
	return resp, err
}

// isCurrent says, right before a request, whether what it was made from is still in
// force. It reads the database only if that was read too long ago.
func (r *Requester) isCurrent(ctx context.Context, in *Input) bool {
	if !r.Rereader.IsOld(in) {
		return true
	}
	now := *in
	if still, err := r.Rereader.Refresh(ctx, &now); err != nil || !still || !sameRequest(in, &now) {
		return false
	}
	if in.ID != uuid.Nil && now.BlockedBy(time.Now()) != nil || in.HasRow() && r.Rereader.AccessIsOld(in) {
		return false
	}
	in.ReadAt = now.ReadAt
	return true
}

// sameRequest says whether a request that was made from one input would be made from the
// other as well. That of a challenge goes to the URL that waits for its proof.
func sameRequest(in, now *Input) bool {
	return (in.EndpointKey() == now.EndpointKey() && in.Sub.URL == now.Sub.URL || in.ID == uuid.Nil && in.Sub.URL == now.Sub.PendingURL) &&
		(in.ID != uuid.Nil || !now.Sub.Deleted) &&
		in.Sub.CredentialsVersion == now.Sub.CredentialsVersion &&
		maps.Equal(in.Sub.Headers, now.Sub.Headers) &&
		(in.ID == uuid.Nil || slices.EqualFunc(in.Stored, now.Stored, bytes.Equal))
}
