package credentials

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

const bearer = "Bearer "

// Endpoint is what a subscription's requests have beside their signature that is stored
// sealed: credentials, headers, and TLS settings of their own. It does not change: a
// change of the subscription makes another one, of a higher version.
type Endpoint struct {
	authorization string // the header's value; "" with tokens, or with no credentials
	headers       map[string]string
	origin        string  // of the only URLs that anything but tls is sent to
	tls           *ownTLS // nil: those of the engine
	tokens        *tokens // OAuth2
	version       int
}

// ownTLS are the TLS settings of a subscription.
type ownTLS struct {
	certificates []tls.Certificate
	digest       digest
	roots        *x509.CertPool
}

// Of names the subscription, as it was read, that an Endpoint is for.
type Of struct {
	SubscriptionID uuid.UUID
	URL            string
	Version        int // of its credentials; 0: it has none
}

var none = &Endpoint{}

// None is the Endpoint of a subscription that has nothing stored.
func None() *Endpoint { return none }

// Headers are those that are stored sealed. They must not be changed.
func (e *Endpoint) Headers() map[string]string { return e.headers }

// At returns what of it may be sent to a URL: TLS settings alone if that has another
// origin.
func (e *Endpoint) At(rawURL string) *Endpoint {
	if e.origin == endpointauth.Origin(rawURL) {
		return e
	}
	return &Endpoint{tls: e.tls}
}

// Authorization returns the value of the header Authorization; "" for none. It requests
// an OAuth2 token through client if it has none that is valid by now, the engine's time,
// or if refused is the value with the token that it has. fresh means that a later call
// would return nothing newer: the value is fixed, or its token was requested by this
// call. The error is a TokenError.
func (e *Endpoint) Authorization(
	ctx context.Context, client *http.Client, refused string, now time.Time,
) (value string, fresh bool, err error) {
	if e.tokens == nil {
		return e.authorization, true, nil
	}
	token, fresh, err := e.tokens.get(ctx, client, strings.TrimPrefix(refused, bearer), now)
	if err != nil {
		return "", false, err
	}
	return bearer + token, fresh, nil
}

// Endpoint opens what the requests of a subscription carry. It reads the database and
// calls the Sealer unless it remembers: what was opened for another origin than that of
// the URL has to be opened for this one, which fails. The error is ErrChanged if the
// subscription is another by now.
func (o *Opener) Endpoint(ctx context.Context, by *callbacks.Caller, of Of) (*Endpoint, error) {
	if of.Version == 0 {
		return none, nil
	}
	origin := endpointauth.Origin(of.URL)
	if known, ok := o.endpoints.Get(of.SubscriptionID); ok && known.version >= of.Version && known.origin == origin {
		return known.ifCurrent(of)
	}
	stored, err := o.loads.Do(ctx, of.SubscriptionID)
	if err != nil {
		return nil, callbacks.Stall("load the credentials", err)
	}
	values := map[string][]byte{}
	for _, row := range stored {
		switch {
		case row.CredentialsVersion != of.Version:
			return nil, ErrChanged
		case row.ID == nil:
			continue // nothing is left
		}
		at := sealed.EndpointAuth(row.Kind, *row.ID, of.SubscriptionID, of.URL)
		values[row.Kind], err = o.open(ctx, by, at, sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, err
		}
	}
	opened, err := parseEndpoint(of.Version, origin, values)
	if err != nil {
		return nil, err
	}
	return o.endpoints.Update(of.SubscriptionID, func(known *Endpoint, ok bool) *Endpoint {
		if ok && known.version >= opened.version && known.origin == origin { // it may have a token
			return known
		}
		return opened
	}).ifCurrent(of)
}

// ifCurrent returns it if it belongs to a subscription as that was read: what is for the
// URL of today must not be sent to the former one.
func (e *Endpoint) ifCurrent(of Of) (*Endpoint, error) {
	if e.version != of.Version {
		return nil, ErrChanged
	}
	return e, nil
}

// parseEndpoint parses what was opened.
func parseEndpoint(version int, origin string, values map[string][]byte) (*Endpoint, error) {
	e := &Endpoint{version: version, origin: origin}
	if text, ok := values[endpointauth.KindCredentials]; ok {
		var c endpointauth.Credentials
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, errors.New("credentials cannot be read") // the error may quote them
		}
		switch {
		case c.Basic != nil:
			e.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.Username+":"+c.Basic.Password))
		case c.Bearer != "":
			e.authorization = bearer + c.Bearer
		case c.OAuth2 != nil:
			e.tokens = newTokens(c.OAuth2)
		}
	}
	if text, ok := values[endpointauth.KindHeaders]; ok {
		if err := json.Unmarshal(text, &e.headers); err != nil {
			return nil, errors.New("headers cannot be read")
		}
	}
	if text, ok := values[endpointauth.KindTLS]; ok {
		var t endpointauth.TLS
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, errors.New("TLS settings cannot be read")
		}
		e.tls = &ownTLS{digest: sha256.Sum256(text)}
		var err error
		if e.tls.roots, err = t.Roots(); err != nil {
			return nil, fmt.Errorf("TLS settings: authorities: %w", err)
		}
		if e.tls.certificates, err = t.ClientCertificate(); err != nil {
			return nil, fmt.Errorf("TLS settings: client certificate: %w", err)
		}
	}
	return e, nil
}

// load is the flush of the batch of loads.
func (o *Opener) load(ctx context.Context, ids []uuid.UUID) ([][]store.LoadEndpointAuthsRow, error) {
	rows, err := o.store.LoadEndpointAuths(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("delivery: load endpoint credentials: %w", err)
	}
	byID := make(map[uuid.UUID][]store.LoadEndpointAuthsRow, len(ids))
	for _, row := range rows {
		byID[row.SubscriptionID] = append(byID[row.SubscriptionID], row)
	}
	out := make([][]store.LoadEndpointAuthsRow, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out, nil
}
