package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startRaw starts a server of HTTP/1.1 that answers each request with answer. It
// returns its URL, who signs its certificate, and how many connections it has had.
func startRaw(t *testing.T, secured bool, answer func(conn net.Conn)) (url string, roots *x509.CertPool, opened *atomic.Int64) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url, opened = "http://"+listener.Addr().String(), new(atomic.Int64)
	if secured {
		signed := httptest.NewTLSServer(nil)
		signed.Close()
		url, roots = "https://"+listener.Addr().String(), x509.NewCertPool()
		roots.AddCert(signed.Certificate())
		listener = tls.NewListener(listener, &tls.Config{Certificates: signed.TLS.Certificates, MinVersion: tls.VersionTLS12})
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					answer(conn)
				}
			}()
		}
	}()
	return url, roots, opened
}

func rawClient(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func eachSecured(t *testing.T, run func(t *testing.T, secured bool)) {
	t.Helper()
	for name, secured := range map[string]bool{"plain": false, "secured": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, secured)
		})
	}
}

// What an answer of 204 announces comes 2 ms after it, when the next request is on its
// way.
func TestClient_UsesNoConnectionAgainWhoseNoContentAnnouncesContent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header, content string
		conns           int64
	}{
		"a length":          {"Content-Length: 2\r\n", "ok", 60},
		"chunks":            {"Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n", 60},
		"a length of 0":     {"Content-Length: 0\r\n", "", 1},
		"nothing, as usual": {"", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSecured(t, func(t *testing.T, secured bool) {
				url, roots, opened := startRaw(t, secured, func(conn net.Conn) {
					_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n"+c.header+"\r\n")
					if c.content != "" {
						<-time.After(2 * time.Millisecond)
						_, _ = io.WriteString(conn, c.content)
					}
				})
				client := rawClient(t, roots)
				for range 60 {
					status, x := postOnce(t.Context(), t, client, url, false)
					require.Equal(t, http.StatusNoContent, status)
					require.Zero(t, x)
				}
				require.Equal(t, c.conns, opened.Load())
			})
		})
	}
}

// Many at a time share few connections: who waits for one gets it in the moment in
// which the answer before has come.
func TestClient_HandsOnNoConnectionWhoseNoContentAnnouncesContent(t *testing.T) {
	t.Parallel()
	eachSecured(t, func(t *testing.T, secured bool) {
		url, roots, _ := startRaw(t, secured, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n")
			<-time.After(2 * time.Millisecond)
			_, _ = io.WriteString(conn, "ok")
		})
		client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots, MaxConnsPerHost: 2})
		require.NoError(t, err)
		t.Cleanup(client.CloseIdleConnections)
		failed := make(chan int, 8)
		for range 8 {
			go func() {
				n := 0
				for range 10 {
					resp, err := client.Post(url, "application/json", strings.NewReader("{}"))
					if err != nil {
						n++
						continue
					}
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusNoContent {
						n++
					}
				}
				failed <- n
			}()
		}
		for range 8 {
			require.Zero(t, <-failed)
		}
	})
}

// What comes unannounced is on the connection before the next request is written.
func TestClient_UsesNoConnectionWithUnreadBytes(t *testing.T) {
	t.Parallel()
	eachSecured(t, func(t *testing.T, secured bool) {
		written := make(chan struct{}, 1)
		url, roots, _ := startRaw(t, secured, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			<-time.After(time.Millisecond)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			written <- struct{}{}
		})
		client := rawClient(t, roots)
		for range 60 {
			status, x := postOnce(t.Context(), t, client, url, false)
			require.Equal(t, http.StatusNoContent, status, "an answer to no request is nobody's")
			require.Zero(t, x.Unanswered)
			<-written
		}
	})
}
