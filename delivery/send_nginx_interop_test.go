//go:build interop

package delivery_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// nginxConfig is of an nginx that speaks HTTP/2 over TLS and hands requests on.
const nginxConfig = `
daemon off;
error_log %[1]s/error.log;
pid %[1]s/nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	scgi_temp_path %[1]s/scgi;
	uwsgi_temp_path %[1]s/uwsgi;
	upstream receiver { server %[3]s; keepalive 64; }
	server {
		listen %[2]s ssl http2;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		keepalive_requests 100;
		location / {
			proxy_pass http://receiver;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
		}
	}
}
`

// startNginx starts this machine's nginx in front of a receiver, and returns its
// address and who signs its certificate. It ends with the test, which fails if the
// program is not there.
func startNginx(t *testing.T, receiver *deliverytest.Receiver) (addr string, roots *x509.CertPool) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	require.NoError(t, err, "install nginx (on Debian: apt-get install nginx)")
	dir := t.TempDir()
	signed := httptest.NewTLSServer(nil)
	signed.Close()
	key, err := x509.MarshalPKCS8PrivateKey(signed.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	write := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Certificate().Raw}))
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	addr = freeAddress(t)
	write("nginx.conf", fmt.Appendf(nil, nginxConfig, dir, addr, strings.TrimPrefix(receiver.URL(), "http://")))

	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its workers end with it
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, 10*time.Second, 10*time.Millisecond, "%s", &said)
	roots = x509.NewCertPool()
	roots.AddCert(signed.Certificate())
	return addr, roots
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// startFar starts a relay to a server that lets each byte take its time, either way,
// and returns its address.
func startFar(t *testing.T, server string, eachWay time.Duration) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer near.Close()
				far, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", server)
				if err != nil {
					return
				}
				defer far.Close()
				var ways sync.WaitGroup
				ways.Go(func() { travel(far, near, eachWay) })
				ways.Go(func() { travel(near, far, eachWay) })
				ways.Wait()
			})
		}
	})
	return listener.Addr().String()
}

// travel copies what it reads, and the end, each so much later than it was read.
func travel(to, from net.Conn, takes time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	onTheWay := make(chan piece, 1<<16)
	go func() {
		defer close(onTheWay)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			onTheWay <- piece{buf[:n], time.Now().Add(takes)}
			if err != nil {
				return
			}
		}
	}()
	for p := range onTheWay {
		<-time.After(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			_ = from.Close()
		}
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// nginx ends a connection after keepalive_requests requests with GOAWAY, while others
// are on their way to it.
func TestNginx_EndsConnectionsGracefully(t *testing.T) {
	t.Parallel()
	const eachWay = 20 * time.Millisecond
	for name, n := range map[string]int{"standard": 4000, "keyed": 1000} { // by dialect
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speakKeyed()
			receiver := b.receiver(nil)
			server, roots := startNginx(t, receiver)
			far := startFar(t, server, eachWay)
			b.cfg.Transport.RootCAs = roots
			b.subscribeURL("https://"+far, name, func(spec *subscription.Spec) { spec.Schedule = "hourly" })
			b.start(b.engine(nil))

			b.enqueueMany("some.event", n)

			require.Eventually(t, func() bool { return b.count(`SELECT count(*) FROM riverhook.attempt`) >= n }, 2*time.Minute, 100*time.Millisecond)
			failed := b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome <> 'delivered'`)
			repeats := b.count(`SELECT coalesce(sum(repeats), 0) FROM riverhook.attempt`)
			arrived := map[string]int{}
			for _, req := range receiver.Requests() {
				arrived[req.ID()]++
			}
			t.Logf("%d attempts failed, %d requests were sent again, %d requests arrived for %d events",
				failed, repeats, len(receiver.Requests()), len(arrived))
			require.Zero(t, failed)
			require.Zero(t, b.circuitsOpened())
			require.Len(t, arrived, n)
			require.Len(t, receiver.Requests(), n, "none arrives twice")
			require.Positive(t, repeats, "no request met the end of a connection: this has shown nothing")
		})
	}
}
