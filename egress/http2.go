package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// http2Conns makes the requests of a transport that go over HTTP/2, and keeps their
// connections. net/http's own way repeats requests that may have been processed, and
// says of none whether it was. Here net/http dials, agrees on the protocol and speaks
// it over each connection, as a ClientConn, which never repeats anything; frames
// stands in between.
type http2Conns struct {
	maker *http.Transport // makes a ClientConn of each connection that it is given

	mu sync.Mutex
	of map[string][]*http2Conn // by host and port
}

type http2Conn struct {
	*http.ClientConn

	addr    string
	frames  *frames
	leaving atomic.Bool // to be closed behind its last request
	aging   *time.Timer // nil for a connection that the Client has not dialed
	late    bool        // it was old before it could take a request, and takes one
}

type givenKey struct{}

// useHTTP2 lets a transport that was not used yet offer HTTP/2, over connections
// that it returns. It returns nil where net/http was told to do without.
func useHTTP2(t *http.Transport) *http2Conns {
	if !netHTTPOffersHTTP2() {
		return nil
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // what it is given looks unencrypted
	c := &http2Conns{of: map[string][]*http2Conn{}, maker: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(givenKey{}).(net.Conn), nil //nolint:forcetypeassert // accept gives one
		},
		DisableCompression:     t.DisableCompression,
		HTTP2:                  t.HTTP2,
		IdleConnTimeout:        t.IdleConnTimeout,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		Protocols:              protocols,
	}}
	t.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": c.accept}
	t.RegisterProtocol("https", http2First{c})
	return c
}

// netHTTPOffersHTTP2 is false with GODEBUG=http2client=0, for one.
func netHTTPOffersHTTP2() bool {
	t := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	t.CloseIdleConnections() // as any use does, it makes up its mind
	return slices.Contains(t.TLSClientConfig.NextProtos, "h2")
}

// accept takes a connection that net/http has dialed, unless there is one by now
// that takes requests: several dial at the same time where there was none.
func (c *http2Conns) accept(addr string, conn *tls.Conn) http.RoundTripper {
	if c.haveRoom(addr) {
		go conn.Close() //nolint:errcheck // nothing follows from it
		return c
	}
	made := &http2Conn{addr: addr, frames: newFrames(conn)}
	var err error
	ctx := context.WithValue(context.Background(), givenKey{}, net.Conn(made.frames))
	if made.ClientConn, err = c.maker.NewClientConn(ctx, "http", addr); err != nil {
		_ = made.frames.Close()
		return noHTTP2ConnError{err}
	}
	c.mu.Lock()
	c.of[addr] = append(c.of[addr], made)
	if l := lineOf(conn); l != nil {
		left := time.Until(l.until)
		if made.late = left <= 0; !made.late {
			made.aging = time.AfterFunc(left, func() { c.retire(made) })
		}
	}
	c.mu.Unlock()
	// The hook can be called by what holds mu.
	made.SetStateHook(func(*http.ClientConn) {
		switch {
		case made.Err() != nil:
			go c.remove(made)
		case made.leaving.Load() && made.InFlight() == 0:
			go made.Close() //nolint:errcheck // nothing follows from it
		}
	})
	return c
}

func (c *http2Conns) haveRoom(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.of[addr], func(conn *http2Conn) bool { return conn.Available() > 0 })
}

func (c *http2Conns) remove(conn *http2Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.aging != nil {
		conn.aging.Stop()
	}
	rest := slices.DeleteFunc(c.of[conn.addr], func(known *http2Conn) bool { return known == conn })
	if c.of[conn.addr] = rest; len(rest) == 0 {
		delete(c.of, conn.addr)
	}
}

// reserve returns a connection that has room for a request, which must follow.
func (c *http2Conns) reserve(addr string) *http2Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.of[addr] {
		if conn.Reserve() == nil {
			if conn.late {
				go c.retire(conn)
			}
			return conn
		}
	}
	return nil
}

// RoundTrip makes a request over a connection that there is, and never waits for one.
func (c *http2Conns) RoundTrip(req *http.Request) (*http.Response, error) {
	port := req.URL.Port()
	if port == "" {
		port = "443"
	}
	conn := c.reserve(net.JoinHostPort(req.URL.Hostname(), port))
	if conn == nil {
		return nil, noHTTP2ConnError{http.ErrSkipAltProtocol}
	}
	if s, ok := req.Context().Value(sendingKey{}).(*sending); ok {
		s.gotFrames(conn.frames)
	}
	resp, err := conn.ClientConn.RoundTrip(req)
	if err == nil && resp.ContentLength != 0 {
		resp.Body = &body{ReadCloser: resp.Body, unread: func() { c.retire(conn) }}
	}
	return resp, err
}

// retire lets a connection take no more requests, and closes it behind its last.
func (c *http2Conns) retire(conn *http2Conn) {
	c.remove(conn)
	go conn.leave() // closing can wait for the peer
}

func (c *http2Conn) leave() {
	if c.aging != nil {
		c.aging.Stop()
	}
	c.leaving.Store(true)
	if c.InFlight() == 0 {
		_ = c.Close()
	}
}

// CloseIdleConnections closes connections as soon as no request is under way.
func (c *http2Conns) CloseIdleConnections() {
	c.mu.Lock()
	all := c.of
	c.of = map[string][]*http2Conn{}
	c.mu.Unlock()
	for _, conns := range all {
		for _, conn := range conns {
			conn.leave()
		}
	}
}

// http2First is asked before net/http looks for a connection, or dials one.
type http2First struct{ conns *http2Conns }

func (f http2First) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f.conns.RoundTrip(req)
	if _, ok := err.(noHTTP2ConnError); ok { //nolint:errorlint // it comes as it is
		return nil, http.ErrSkipAltProtocol
	}
	return resp, err
}

// noHTTP2ConnError means that there is no connection with room for a request.
type noHTTP2ConnError struct{ error }

// IsHTTP2NoCachedConnError lets net/http dial, as it does for its own HTTP/2.
func (noHTTP2ConnError) IsHTTP2NoCachedConnError() {}

// RoundTripErr lets net/http end the dial with the error.
func (e noHTTP2ConnError) RoundTripErr() error { return e.error }

func (e noHTTP2ConnError) RoundTrip(*http.Request) (*http.Response, error) { return nil, e.error }
