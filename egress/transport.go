package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/internal/exchange"
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
// URL against CheckURL, and the age of connections against Config.MaxConnAge. Close its idle connections when done.
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
			Certificates: cfg.Certificates,
			MinVersion:   tls.VersionTLS12,
			RootCAs:      cfg.RootCAs,
		},
		TLSHandshakeTimeout: cfg.TLSHandshakeTimeout,
	}, nil
}

// maxRepeats and repeatPauses bound how a request that was certainly not processed is
// sent again.
const maxRepeats = 3

var repeatPauses = [maxRepeats]time.Duration{0, 50 * time.Millisecond, 250 * time.Millisecond}

// Client makes a client over Transport that also holds the URL of every request
// against the policy, never follows a redirect (the 3xx is the answer) and keeps no
// cookies. It has no timeout: bound each request by its context, from which reading
// the body is bounded too. nil means the defaults.
//
// It sends a request again, at most three times and within its context, if that was
// certainly not processed: its stream was refused (REFUSED_STREAM), or is above the
// last one that the server names as it goes away (GOAWAY), or its connection ended
// before a byte of the request was written. No other request is repeated, whatever
// its headers say. A connection is used for Config.MaxConnAge at most, and no more
// after an answer of 204 that announces content, or after bytes that belong to no
// answer; a request that meets such a connection is sent over another one, which is no
// repeat. A request with a body is repeated only if it has GetBody, which
// http.NewRequest sets for the usual kinds.
func (p *Policy) Client(cfg *TransportConfig) (*http.Client, error) {
	transport, err := p.Transport(cfg)
	if err != nil {
		return nil, err
	}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		until := time.Now().Add(p.connAge(rand.Float64())) //nolint:gosec // nothing secret depends on it
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &line{Conn: conn, until: until}, nil
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &guard{
			policy:    p,
			transport: transport,
			http2:     useHTTP2(transport),
		},
	}, nil
}

type guard struct {
	policy    *Policy
	transport *http.Transport
	http2     *http2Conns // of transport; nil without HTTP/2
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.policy.checkParsedURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	x := exchange.Of(req.Context())
	for repeats, refusals := 0, 0; ; {
		resp, again, err := g.send(req, x)
		free := again == onAnother && refusals < maxRefusals
		if err == nil || again == never || !free && (repeats == maxRepeats || !pause(req.Context(), repeatPauses[repeats])) {
			return resp, err
		}
		next, ok := anew(req)
		if !ok || !free && !exchange.MayRepeat(req.Context()) {
			return nil, err
		}
		req = next
		if free {
			refusals++
			continue
		}
		repeats++
		x.Repeats++
	}
}

// sendAgain says whether a request that failed may be sent again.
type sendAgain int

const (
	never     sendAgain = iota
	unsent              // it was certainly not processed
	onAnother           // its connection was one that takes no more requests: it was not sent at all
)

// maxRefusals bounds how many such connections one request can meet before they count
// as repeats.
const maxRefusals = 64

// errStray is the error of a request on whose connection something was read before it
// was written.
var errStray = errors.New("egress: the endpoint has sent what belongs to no request")

// send sends a request once, and says of one that failed whether it may be sent again.
func (g *guard) send(req *http.Request, x *exchange.Exchange) (resp *http.Response, again sendAgain, err error) {
	s := sending{over: make(chan struct{})}
	once := s.watch(req)
	once.GetBody = nil // with it a POST that carries Idempotency-Key is sent again by net/http
	resp, err = g.transport.RoundTrip(once)
	if err != nil {
		resp = nil
	}
	unprocessed, unanswered, refused := s.looked(resp)
	x.Unanswered = unanswered
	switch {
	case unprocessed && resp != nil:
		_ = resp.Body.Close()
		return nil, unsent, errStray
	case unprocessed && refused:
		return nil, onAnother, err
	case unprocessed:
		return nil, unsent, err
	case err != nil:
		return nil, never, err
	}
	resp.Request = req
	return resp, never, nil
}

// anew is the request with its body from the beginning; false if there is no way.
func anew(req *http.Request) (*http.Request, bool) {
	again := *req
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case req.GetBody == nil:
		return nil, false
	default:
		body, err := req.GetBody()
		if err != nil {
			return nil, false
		}
		again.Body = body
	}
	return &again, true
}

// pause returns false where the context has ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (g *guard) CloseIdleConnections() {
	g.transport.CloseIdleConnections()
	if g.http2 != nil {
		g.http2.CloseIdleConnections()
	}
}
