package send

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/exchange"
)

// headerRequestOrigin names the sender of a request (HTTP webhooks for CloudEvents).
const headerRequestOrigin = "Webhook-Request-Origin"

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
	if !r.Loader.isCurrent(ctx, in) {
		return nil, ErrOvertaken
	}
	overtaken := false
	ctx = exchange.AskBeforeRepeats(ctx, func() bool {
		overtaken = !r.Loader.isCurrent(ctx, in)
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
	a.RequestHeaders, _ = r.Headers.Record(req.Header, in.headers())
	resp, err := client.Transport.RoundTrip(req) // no redirect is followed, so that there is nothing else for Client.Do
	if overtaken {                               // what was sent was certainly not processed
		return nil, ErrOvertaken
	}
	return resp, err
}
