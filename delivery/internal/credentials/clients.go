package credentials

import (
	"cmp"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/internal/ttlcache"
)

// rememberedClients bounds, twice, the TLS settings whose connections are kept.
const rememberedClients = 128

// Clients are the HTTP clients of one policy: one for the subscriptions without TLS
// settings of their own, and one for each distinct TLS settings. It is safe for
// concurrent use.
type Clients struct {
	cfg    egress.TransportConfig
	own    *ttlcache.Cache[digest, *http.Client]
	policy *egress.Policy
	shared *http.Client
}

// NewClients makes them. maxInFlight, the most requests at once, is the default of the
// bounds of connections in cfg. The error is that of a bad cfg.
func NewClients(policy *egress.Policy, cfg egress.TransportConfig, maxInFlight int) (*Clients, error) {
	cfg.MaxConnsPerHost = cmp.Or(cfg.MaxConnsPerHost, maxInFlight)
	// A connection that is given back while all requests go to one host is kept.
	cfg.MaxIdleConns = cmp.Or(cfg.MaxIdleConns, max(maxInFlight, 1024))
	cfg.MaxIdleConnsPerHost = cmp.Or(cfg.MaxIdleConnsPerHost, maxInFlight)
	shared, err := policy.Client(&cfg)
	if err != nil {
		return nil, err
	}
	return &Clients{
		cfg: cfg,
		own: ttlcache.New(ttlcache.Config[digest, *http.Client]{
			OnEvict: (*http.Client).CloseIdleConnections,
			Size:    rememberedClients,
			TTL:     unusedAfter,
		}, time.Now()),
		policy: policy,
		shared: shared,
	}, nil
}

// For returns the client with the TLS settings of an endpoint. If its transport is
// closed during a request, the request goes on, and its connection is closed after it.
func (c *Clients) For(e *Endpoint) *http.Client {
	if e.tls == nil {
		return c.shared
	}
	return c.own.Update(e.tls.digest, func(known *http.Client, ok bool) *http.Client {
		if ok {
			return known
		}
		return c.newClient(e.tls)
	})
}

func (c *Clients) newClient(own *ownTLS) *http.Client {
	cfg := c.cfg
	if own.roots != nil {
		cfg.RootCAs = own.roots
	}
	if own.certificates != nil {
		cfg.Certificates = own.certificates
	}
	client, err := c.policy.Client(&cfg)
	if err != nil {
		panic(err) // never: NewClients has made one from the same
	}
	return client
}

// CloseUnused closes the transports that no request has used for long.
func (c *Clients) CloseUnused(now time.Time) { c.own.Expire(now) }

// Close closes the connections that no request uses.
func (c *Clients) Close() {
	c.shared.CloseIdleConnections()
	c.own.Clear()
}
