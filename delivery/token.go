package delivery

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/riverhook/riverhook/internal/endpointauth"
)

// tokenPause is how long a failed request for a token answers those who wait for
// it as well.
const tokenPause = time.Second

// tokens asks a token endpoint for tokens, one request at a time, and keeps the
// last until it expires or is refused.
type tokens struct {
	cfg  clientcredentials.Config
	turn chan struct{} // of one: who has put something in may use what is below

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

// tokenError is the failure of a request for a token.
type tokenError struct{ err error }

// Error says no more than that: what a token endpoint answers may quote what it
// was sent.
func (e *tokenError) Error() string { return "delivery: no token" }

func (e *tokenError) Unwrap() error { return e.err }

// get returns a token other than the one that was refused, "" for none, and
// whether it was asked for just now. now is that of the engine.
func (s *tokens) get(ctx context.Context, client *http.Client, refused string, now time.Time) (token string, fresh bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", false, &tokenError{ctx.Err()}
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
		return "", false, &tokenError{ctx.Err()}
	case err == nil && !isBearer(got):
		err = errNoBearer
	}
	if err != nil {
		s.failed, s.failedAt = &tokenError{err}, time.Now()
		return "", false, s.failed
	}
	s.token, s.until = got, time.Time{}
	if !got.Expiry.IsZero() {
		s.until = now.Add(time.Until(got.Expiry))
	}
	return got.AccessToken, true, nil
}

// isBearer is whether a token is one that can go into a header (RFC 6750, section
// 2.1). A client must not use a type that it does not know (RFC 6749, section 7.1).
func isBearer(t *oauth2.Token) bool {
	return strings.EqualFold(t.Type(), "bearer") && t.AccessToken != "" &&
		!strings.ContainsFunc(t.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' })
}
