package delivery

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
)

// exchange sends the request, with the credentials of its subscription if there are
// any, and returns the answer. A token that was kept from an earlier request can
// have been withdrawn: where one is answered by 401 the request is sent again, once,
// with a new one, unless its subscription was changed since. The error is of the
// request, or of the one for a token; errOvertaken where none was made that can have
// been processed.
func (e *Engine) exchange(ctx context.Context, t *target, built dialect.Request, a *attempt.Attempt) (*http.Response, error) {
	client := e.clients.For(t.Auth)
	authorization, fresh, err := t.Auth.Authorization(ctx, client, "", e.now())
	if err != nil {
		return nil, err
	}
	resp, err := e.post(ctx, client, t, built, authorization, a)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || fresh {
		return resp, err
	}
	refused := resp
	_ = refused.Body.Close() // its connection may be needed for the token
	refused.Body = http.NoBody
	if authorization, _, err = t.Auth.Authorization(ctx, client, authorization, e.now()); err != nil {
		return nil, err
	}
	if resp, err = e.post(ctx, client, t, built, authorization, a); errors.Is(err, errOvertaken) {
		return refused, nil
	}
	return resp, err
}

func (e *Engine) post(
	ctx context.Context, client *http.Client, t *target, built dialect.Request, authorization string, a *attempt.Attempt,
) (*http.Response, error) {
	if !e.stillAsRead(ctx, t) {
		return nil, errOvertaken
	}
	overtaken := false
	ctx = egress.AskBeforeRepeats(ctx, func() bool {
		overtaken = !e.stillAsRead(ctx, t)
		return !overtaken
	})
	req, err := http.NewRequestWithContext(ctx, built.Method, built.URL, bytes.NewReader(built.Body))
	if err != nil {
		return nil, errNotBuilt
	}
	if built.Header != nil {
		req.Header = built.Header
	}
	if origin := e.cfg.Verification.Origin; origin != "" {
		req.Header.Set(headerRequestOrigin, origin)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	a.RequestHeaders, _ = e.recorder.Record(req.Header, t.headers())
	resp, err := client.Transport.RoundTrip(req) // no redirect is followed, so that there is nothing else for Client.Do
	if overtaken {                               // what was sent was certainly not processed
		return nil, errOvertaken
	}
	return resp, err
}
