package deliverytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// Receiver is a webhook receiver on loopback. It answers each request by the
// next scripted answer, and by ReceiverConfig.Answer when none is left. A request
// whose signature cannot be verified is recorded as a failure and answered 401,
// and takes no scripted answer. It is safe for concurrent use.
type Receiver struct {
	cfg    *ReceiverConfig
	server *http.Server
	cert   *x509.Certificate // nil without TLS
	url    string
	onFail func(Request) // nil: only recorded
	stop   context.CancelFunc
	served chan struct{}

	mu       sync.Mutex
	closed   bool
	handlers sync.WaitGroup
	requests []Request
	public   []dialect.PublicKey
	script   []Answer
	secrets  []dialect.Secret
	waiters  []waiter
}

type waiter struct {
	n     int
	reach chan struct{}
}

// StartReceiver starts a receiver; nil means the defaults. Close ends it.
func StartReceiver(cfg *ReceiverConfig) (*Receiver, error) {
	return startReceiver(cfg, nil)
}

func startReceiver(cfg *ReceiverConfig, onFail func(Request)) (*Receiver, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("deliverytest: listen: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Receiver{
		cfg:     cfg,
		onFail:  onFail,
		secrets: cfg.Secrets,
		served:  make(chan struct{}),
		stop:    stop,
		url:     "http://" + listener.Addr().String(),
	}
	r.server = &http.Server{
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler:           http.HandlerFunc(r.serve),
		ReadHeaderTimeout: time.Minute,
	}
	if cfg.TLS {
		cert, err := newCertificate()
		if err != nil {
			stop()
			return nil, errors.Join(err, listener.Close())
		}
		r.cert, r.url = cert.Leaf, "https://"+listener.Addr().String()
		r.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		r.server.Protocols = new(http.Protocols)
		r.server.Protocols.SetHTTP1(true)
		r.server.Protocols.SetHTTP2(cfg.HTTP2)
	}
	go func() {
		defer close(r.served)
		if cfg.TLS {
			_ = r.server.ServeTLS(listener, "", "")
		} else {
			_ = r.server.Serve(listener)
		}
	}()
	return r, nil
}

// TB is what NewReceiver needs of testing.TB.
type TB interface {
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Helper()
}

// NewReceiver starts a receiver for a test and closes it at the test's end. A
// request that is not in order (Request.Err) fails the test.
func NewReceiver(tb TB, cfg *ReceiverConfig) *Receiver {
	tb.Helper()
	r, err := startReceiver(cfg, func(req Request) {
		tb.Errorf("deliverytest: request %d (webhook-id %q): %v", req.Number, req.ID(), req.Err)
	})
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(r.Close)
	return r
}

// Close ends the receiver and all its connections, and waits until nothing of it
// runs. What was recorded stays readable. More than one Close is fine.
func (r *Receiver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	_ = r.server.Close()
	<-r.served
	r.handlers.Wait()
}

// URL is the receiver's address, such as "http://127.0.0.1:40000". Each path
// below it is answered.
func (r *Receiver) URL() string {
	return r.url
}

// RootCAs verifies the certificate of a TLS receiver; nil without TLS.
func (r *Receiver) RootCAs() *x509.CertPool {
	if r.cert == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.cert)
	return pool
}

// Script appends answers for the requests to come, in the order of their
// arrival.
func (r *Receiver) Script(answers ...Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, answers...)
}

// Trust adds secrets that signatures may be made with, such as the one of a
// subscription.Created. From the first on, every request must be signed. The zero value is
// dialect.ErrInvalidSecret, and adds nothing.
func (r *Receiver) Trust(secrets ...dialect.Secret) error {
	if slices.ContainsFunc(secrets, dialect.Secret.IsZero) {
		return fmt.Errorf("deliverytest: trust: %w: it is the zero value", dialect.ErrInvalidSecret)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(slices.Clone(r.secrets), secrets...)
	return nil
}

// TrustKeys is Trust for public keys. A ReceiverConfig.Verifier is not given them.
func (r *Receiver) TrustKeys(keys ...dialect.PublicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.public = append(slices.Clone(r.public), keys...)
}
