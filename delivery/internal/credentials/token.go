package credentials

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/riverhook/riverhook/internal/endpointauth"
)

// tokenPause is how long the failure of a request for a token is the answer to the
// callers that wait for the token as well.
const tokenPause = time.Second

// tokens requests tokens from a token endpoint, one at a time, and keeps the last one
// until it expires or is refused.
type tokens struct {
	cfg  clientcredentials.Config
	turn chan struct{} // has room for one: whoever has put something in may use the rest

	failed   error
	failedAt time.Time
	token    *oauth2.Token
	until    time.Time // when the token expires, as the engine's time passes
}

func newTokens(o *endpointauth.OAuth2) *tokens {
	s := &tokens{turn: make(chan struct{}, 1), cfg: clientcredentials.Config{
		ClientID:       o.ClientID,
		ClientSecret:   o.ClientSecret,
		TokenURL:       o.TokenURL,
		Scopes:         o.Scopes,
		EndpointParams: url.Values{},
	}}
	for name, value := range o.Params {
		s.cfg.EndpointParams.Set(name, value)
	}
	switch o.AuthStyle {
	case endpointauth.AuthStyleHeader:
		s.cfg.AuthStyle = oauth2.AuthStyleInHeader
	case endpointauth.AuthStyleParams:
		s.cfg.AuthStyle = oauth2.AuthStyleInParams
	}
	return s
}

// errNoBearer is a token that cannot be used.
var errNoBearer = errors.New("not a bearer token")

// TokenError is the failure of a request for a token.
type TokenError struct{ Err error }

// Error does not show Err: the answer of a token endpoint may quote the request.
func (e *TokenError) Error() string { return "delivery: no token" }

// Unwrap returns Err.
func (e *TokenError) Unwrap() error { return e.Err }

// get returns a token other than the refused one ("" for none), and whether it was
// requested by this call. now is the engine's time.
func (s *tokens) get(ctx context.Context, client *http.Client, refused string, now time.Time) (token string, fresh bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", false, &TokenError{ctx.Err()}
	}
	if s.token.Valid() && (s.until.IsZero() || now.Before(s.until)) && s.token.AccessToken != refused {
		return s.token.AccessToken, false, nil
	}
	if s.failed != nil && time.Since(s.failedAt) < tokenPause {
		return "", false, s.failed
	}
	s.token, s.failed = nil, nil
	got, err := s.cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	switch {
	case err != nil && ctx.Err() != nil: // it is not always wrapped
		return "", false, &TokenError{ctx.Err()}
	case err == nil && !isBearer(got):
		err = errNoBearer
	}
	if err != nil {
		s.failed = &TokenError{err}
		s.failedAt = time.Now()
		return "", false, s.failed
	}
	s.token = got
	s.until = time.Time{}
	if !got.Expiry.IsZero() {
		s.until = now.Add(time.Until(got.Expiry))
	}
	return got.AccessToken, true, nil
}

// isBearer reports whether a token can go into a header (RFC 6750, section 2.1). A
// client must not use a type that it does not know (RFC 6749, section 7.1).
func isBearer(t *oauth2.Token) bool {
	return strings.EqualFold(t.Type(), "bearer") && t.AccessToken != "" &&
		!strings.ContainsFunc(t.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' })
}
