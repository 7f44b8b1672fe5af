package deliverytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/riverhook/riverhook/delivery"
)

// HostileServer is a server on loopback that misbehaves in one way, and what an
// attempt at it must come to with whatever settings an engine has: an outcome
// within the attempt's timeout and a few seconds, from a bounded amount of what
// the server sends. HostileServers lists them; a test of its own settings starts
// each, subscribes its URL and compares what Engine.Ping returns.
type HostileServer struct {
	// Name says what it does, such as "body, byte by byte".
	Name string

	// Class is what Attempt.Error begins with, up to the colon; "" where the
	// status alone decides and there is no error.
	Class string

	// HTTP2 says that it speaks HTTP/2 over TLS, by a certificate that
	// HostileRootCAs verifies. The others speak HTTP/1.1 without TLS.
	HTTP2 bool

	// Outcome is what an attempt must come to.
	Outcome delivery.Outcome

	// One of the two is set.
	converse func(c *hostileConn)
	handle   http.HandlerFunc
}

// HostileServers returns all of them. Those whose Outcome is a timeout keep an
// attempt for as long as its timeout lasts, so give the engine a short one.
func HostileServers() []HostileServer {
	return append(hostileHTTP1(), hostileHTTP2()...)
}

// HostileRootCAs verifies the certificates of hostile servers that speak HTTP/2:
// the engine must trust it to get as far as their answers.
func HostileRootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	if cert, err := hostileCertificate(); err == nil {
		pool.AddCert(cert.Leaf)
	}
	return pool
}

// hostileCertificate is one for all servers of a process, so that an engine can
// be told of it before they are started.
var hostileCertificate = sync.OnceValues(newCertificate)

// Start starts the server and returns its URL. At the test's end it is closed,
// with all its connections, and nothing of it runs any more.
func (s HostileServer) Start(tb TB) (url string) {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("deliverytest: listen: %v", err)
		return ""
	}
	url = "http://" + listener.Addr().String()
	if s.HTTP2 {
		cert, err := hostileCertificate()
		if err != nil {
			_ = listener.Close()
			tb.Fatalf("%v", err)
			return ""
		}
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{cert},
			MinVersion:   tls.VersionTLS12,
			NextProtos:   []string{"h2"},
		})
		url = "https://" + listener.Addr().String()
	}
	if s.handle != nil {
		tb.Cleanup(s.serve(listener))
	} else {
		tb.Cleanup(s.accept(listener))
	}
	return url
}

// serve answers by net/http.
func (s HostileServer) serve(listener net.Listener) (stop func()) {
	server := &http.Server{
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler:           s.handle,
		ReadHeaderTimeout: time.Minute,
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	return func() {
		_ = server.Close()
		running.Wait()
	}
}

// accept answers by hand.
func (s HostileServer) accept(listener net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				defer conn.Close()
				s.converse(&hostileConn{
					Conn:   conn,
					in:     bufio.NewReader(conn),
					closed: ctx.Done(),
				})
			})
		}
	})
	return func() {
		cancel()
		_ = listener.Close()
		running.Wait()
	}
}
