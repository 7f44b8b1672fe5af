package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// rememberedAuths and rememberedClients bound, twice, the subscriptions whose
	// credentials are kept open in memory, and the TLS settings whose connections
	// are kept.
	rememberedAuths   = 5000
	rememberedClients = 128

	// unusedAfter is when, at twice its length at most, credentials that no request
	// has needed are forgotten and unused transports closed.
	unusedAfter = 5 * time.Minute
)

// endpointAuth is what a subscription's requests have beside their signature that
// is stored sealed: credentials, headers, and TLS settings of their own. It does not change; a change of the
// subscription's makes another, of a higher version.
type endpointAuth struct {
	version       int
	origin        string  // of the only URLs that the rest, but for tls, is sent to
	authorization string  // the header's value; "" with tokens, or with no credentials
	tokens        *tokens // OAuth2
	headers       map[string]string
	tls           *ownTLS // nil: the engine's
}

// ownTLS are the TLS settings of a subscription. Those that are alike share a
// client.
type ownTLS struct {
	certificates []tls.Certificate
	digest       [sha256.Size]byte
	roots        *x509.CertPool
}

var noAuth = &endpointAuth{}

// newEndpointAuth parses what was opened.
func newEndpointAuth(version int, origin string, values map[string][]byte) (*endpointAuth, error) {
	a := &endpointAuth{version: version, origin: origin}
	if text, ok := values[endpointauth.KindCredentials]; ok {
		var c endpointauth.Credentials
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, errors.New("credentials cannot be read") // the error may quote them
		}
		switch {
		case c.Basic != nil:
			a.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.Username+":"+c.Basic.Password))
		case c.Bearer != "":
			a.authorization = "Bearer " + c.Bearer
		case c.OAuth2 != nil:
			a.tokens = newTokens(c.OAuth2)
		}
	}
	if text, ok := values[endpointauth.KindHeaders]; ok {
		if err := json.Unmarshal(text, &a.headers); err != nil {
			return nil, errors.New("headers cannot be read")
		}
	}
	if text, ok := values[endpointauth.KindTLS]; ok {
		var t endpointauth.TLS
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, errors.New("TLS settings cannot be read")
		}
		a.tls = &ownTLS{digest: sha256.Sum256(text)}
		var err error
		if a.tls.roots, err = t.Roots(); err != nil {
			return nil, fmt.Errorf("TLS settings: authorities: %w", err)
		}
		if a.tls.certificates, err = t.ClientCertificate(); err != nil {
			return nil, fmt.Errorf("TLS settings: client certificate: %w", err)
		}
	}
	return a, nil
}

// errAuthChanged means that a subscription was changed after it was read.
var errAuthChanged = errors.New("its subscription was changed meanwhile")

// of returns it where it belongs to a subscription as that was read: what is for the
// URL of today must not be sent to the one of then.
func (a *endpointAuth) of(sub *hierarchy.Subscription) (*endpointAuth, error) {
	if a.version != sub.CredentialsVersion {
		return nil, errAuthChanged
	}
	return a, nil
}

// at is what of it may be sent to a URL: TLS settings alone where that is of another
// origin.
func (a *endpointAuth) at(rawURL string) *endpointAuth {
	if a.origin == endpointauth.Origin(rawURL) {
		return a
	}
	return &endpointAuth{tls: a.tls}
}

// authOf returns what the requests of a subscription carry, or errAuthChanged. It
// asks the database and the Sealer only where it does not remember: what was opened for
// another origin than that of the URL must be opened for this one, which fails.
func (e *Engine) authOf(ctx context.Context, by *callbacks.Caller, sub *hierarchy.Subscription) (*endpointAuth, error) {
	if sub.CredentialsVersion == 0 {
		return noAuth, nil
	}
	origin := endpointauth.Origin(sub.URL)
	if known, ok := e.auths.get(sub.ID); ok && known.version >= sub.CredentialsVersion && known.origin == origin {
		return known.of(sub)
	}
	stored, err := e.authLoads.Do(ctx, sub.ID)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	for _, row := range stored {
		switch {
		case row.CredentialsVersion != sub.CredentialsVersion:
			return nil, errAuthChanged
		case row.ID == nil:
			continue // it has none any more
		}
		at := sealed.EndpointAuth(row.Kind, *row.ID, sub.ID, sub.URL)
		values[row.Kind], err = e.open(ctx, by, at, sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, err
		}
	}
	fresh, err := newEndpointAuth(sub.CredentialsVersion, origin, values)
	if err != nil {
		return nil, err
	}
	return e.auths.put(sub.ID, func(known *endpointAuth, ok bool) *endpointAuth {
		if ok && known.version >= fresh.version && known.origin == origin { // it may have a token
			return known
		}
		return fresh
	}).of(sub)
}

// unopenedAuthReason is what the history says: whose key is missing is for the log.
const unopenedAuthReason = "its credentials, headers or TLS settings cannot be opened in this process"

// authFor opens what the requests of a target carry. Where that fails nothing is
// sent: another process may have the key, or this one soon; and a subscription that
// was changed since the target was loaded is to be loaded again.
func (e *Engine) authFor(ctx context.Context, t *target) *transition {
	var err error
	t.Auth, err = e.authOf(ctx, t.By, &t.Sub)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errAuthChanged):
		return t.postpone(changedWait, errAuthChanged.Error())
	case t.notCalled(err) != nil:
		return t.notCalled(err)
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", t.ID), slog.String("intent", t.Event.ID),
		slog.Any("subscription", t.Sub.ID), slog.String("reason", unopenedAuthReason), slog.String("error", callbacks.Brief(err)))
	return t.postpone(e.troubleWait(wiringWait), unopenedAuthReason)
}

// loadAuths is the flush of the batch of loads of what endpointAuth is made of.
func (e *Engine) loadAuths(ctx context.Context, ids []uuid.UUID) ([][]store.LoadEndpointAuthsRow, error) {
	rows, err := e.store.LoadEndpointAuths(ctx, store.UUIDs(ids))
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

// makeClients makes the client of the subscriptions without TLS settings of their
// own, and room for those of the others.
func (e *Engine) makeClients() (err error) {
	cfg := e.cfg.Transport
	def(&cfg.MaxConnsPerHost, e.cfg.MaxInFlight)
	// A connection that is given back while all requests go to one host is kept.
	def(&cfg.MaxIdleConns, max(e.cfg.MaxInFlight, 1024))
	def(&cfg.MaxIdleConnsPerHost, e.cfg.MaxInFlight)
	e.transport = cfg
	if e.client, err = e.cfg.Egress.Client(&cfg); err != nil {
		return fmt.Errorf("delivery: config: Transport: %w", err)
	}
	e.auths = newGenerations[uuid.UUID, *endpointAuth](rememberedAuths, unusedAfter, nil)
	e.clients = newGenerations[[sha256.Size]byte](rememberedClients, unusedAfter, (*http.Client).CloseIdleConnections)
	return nil
}

// clientFor is the client of the engine's policy with the TLS settings of a
// subscription. Where its transport is closed while a request is under way the
// request goes on, and its connection is closed behind it.
func (e *Engine) clientFor(a *endpointAuth) *http.Client {
	if a.tls == nil {
		return e.client
	}
	return e.clients.put(a.tls.digest, func(known *http.Client, ok bool) *http.Client {
		if ok {
			return known
		}
		return e.newClient(a.tls)
	})
}

func (e *Engine) newClient(own *ownTLS) *http.Client {
	cfg := e.transport
	if own.roots != nil {
		cfg.RootCAs = own.roots
	}
	if own.certificates != nil {
		cfg.Certificates = own.certificates
	}
	client, err := e.cfg.Egress.Client(&cfg)
	if err != nil {
		panic(err) // never: the engine's own was made of the same
	}
	return client
}

// closeClients closes the connections that no request uses.
func (e *Engine) closeClients() {
	e.client.CloseIdleConnections()
	e.clients.clear()
}

// forgetUnused forgets credentials and closes transports that are not used.
func (e *Engine) forgetUnused(now time.Time) {
	e.auths.age(now)
	e.clients.age(now)
}
