package egress

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"
)

// What an endpoint that speaks HTTP/2 can send ahead of what is read of its
// answers. net/http would hold 4 MiB of each.
const (
	maxReceivedPerConnection = 1 << 20
	maxReceivedPerStream     = 64 << 10
)

// TransportConfig tunes a guarded transport. No field loosens the policy.
type TransportConfig struct {
	// Certificates are the client certificates, with their keys, for endpoints
	// that ask for one: the first that suits the authorities that the endpoint
	// names. Whoever an endpoint belongs to can ask. Default: none.
	Certificates []tls.Certificate

	// ConnectTimeout bounds resolution and TCP connect together, with a proxy also
	// all that is said to it. Default: 5 seconds.
	ConnectTimeout time.Duration

	// IdleTimeout is how long an unused connection is kept. Default: 30 seconds,
	// shorter than common servers keep theirs, so that we close first.
	IdleTimeout time.Duration

	// MaxConnsPerHost bounds connections to one host and port; a request above it
	// waits, within its own time. Default: 0, no bound.
	MaxConnsPerHost int

	// MaxIdleConns bounds unused connections in all. Default: 1024.
	MaxIdleConns int

	// MaxIdleConnsPerHost bounds unused connections to one host. Default: 64.
	MaxIdleConnsPerHost int

	// MaxResponseHeaderBytes bounds the headers of an answer, informational
	// ones included. Default: 64 KiB.
	MaxResponseHeaderBytes int64

	// RootCAs are the authorities that sign endpoints' certificates.
	// Default: those of the system.
	RootCAs *x509.CertPool

	// TLSHandshakeTimeout bounds the TLS handshake. Default: 5 seconds.
	TLSHandshakeTimeout time.Duration
}

func (c *TransportConfig) withDefaults() *TransportConfig {
	out := TransportConfig{}
	if c != nil {
		out = *c
	}
	if out.ConnectTimeout == 0 {
		out.ConnectTimeout = 5 * time.Second
	}
	if out.IdleTimeout == 0 {
		out.IdleTimeout = 30 * time.Second
	}
	if out.MaxIdleConns == 0 {
		out.MaxIdleConns = 1024
	}
	if out.MaxIdleConnsPerHost == 0 {
		out.MaxIdleConnsPerHost = 64
	}
	if out.MaxResponseHeaderBytes == 0 {
		out.MaxResponseHeaderBytes = 64 << 10
	}
	if out.TLSHandshakeTimeout == 0 {
		out.TLSHandshakeTimeout = 5 * time.Second
	}
	return &out
}

func (c *TransportConfig) validate() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"ConnectTimeout", int64(c.ConnectTimeout)},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"MaxConnsPerHost", int64(c.MaxConnsPerHost)},
		{"MaxIdleConns", int64(c.MaxIdleConns)},
		{"MaxIdleConnsPerHost", int64(c.MaxIdleConnsPerHost)},
		{"MaxResponseHeaderBytes", c.MaxResponseHeaderBytes},
		{"TLSHandshakeTimeout", int64(c.TLSHandshakeTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("egress: TransportConfig.%s: must not be negative", field.name)
		}
	}
	return nil
}

// Transport makes a transport whose every connection is judged by the policy
// after resolution; nil means the defaults. It uses the policy's proxy or none (one
// named in the environment would dial in our place, unguarded), speaks TLS 1.2 or
// later with verification on, HTTP/2 where offered, and neither asks for nor undoes
// compression. A refusal is a *BlockedError inside the request's error, a failure of
// the proxy a *ProxyError.
//
// The transport knows a request's address, not its URL: Client also holds each
// URL against CheckURL. Close its idle connections when done.
func (p *Policy) Transport(cfg *TransportConfig) (*http.Transport, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext:        p.dialer(cfg.ConnectTimeout).dial,
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: maxReceivedPerConnection,
			MaxReceiveBufferPerStream:     maxReceivedPerStream,
			PingTimeout:                   5 * time.Second,
			SendPingTimeout:               15 * time.Second,
			WriteByteTimeout:              5 * time.Second, // who reads nothing cannot keep a request that is given up
		},
		IdleConnTimeout:        cfg.IdleTimeout,
		MaxConnsPerHost:        cfg.MaxConnsPerHost,
		MaxIdleConns:           cfg.MaxIdleConns,
		MaxIdleConnsPerHost:    cfg.MaxIdleConnsPerHost,
		MaxResponseHeaderBytes: cfg.MaxResponseHeaderBytes,
		TLSClientConfig: &tls.Config{
			Certificates: cfg.Certificates, MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs,
		},
		TLSHandshakeTimeout: cfg.TLSHandshakeTimeout,
	}, nil
}

// Client makes a client over Transport that also holds the URL of every request
// against the policy, never follows a redirect (the 3xx is the answer), never
// repeats a request by itself and keeps no cookies. It has no timeout: bound each
// request by its context, from which reading the body is bounded too. nil means
// the defaults.
func (p *Policy) Client(cfg *TransportConfig) (*http.Client, error) {
	transport, err := p.Transport(cfg)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &guard{policy: p, transport: transport},
	}, nil
}

type guard struct {
	policy    *Policy
	transport *http.Transport
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.policy.checkParsedURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	if req.GetBody != nil {
		// With GetBody a POST that carries Idempotency-Key is sent again by
		// net/http itself, unrecorded.
		once := *req
		once.GetBody = nil
		req = &once
	}
	return g.transport.RoundTrip(req)
}

func (g *guard) CloseIdleConnections() {
	g.transport.CloseIdleConnections()
}
