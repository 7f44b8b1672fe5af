package egress

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/exchange"
)

// fragile is a connection that can be cut: reads end, and writes as well or, where
// the peer has closed it just now, go nowhere.
type fragile struct {
	net.Conn

	cut    chan struct{}
	deaf   bool // writes fail too
	closed chan struct{}
	once   sync.Once
}

func (f *fragile) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	got := make(chan result, 1)
	own := make([]byte, len(p))
	go func() {
		n, err := f.Conn.Read(own)
		got <- result{n, err}
	}()
	select {
	case r := <-got:
		return copy(p, own[:r.n]), r.err
	case <-f.cut:
		return 0, io.EOF
	}
}

func (f *fragile) Write(p []byte) (int, error) {
	select {
	case <-f.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case <-f.cut:
		if f.deaf {
			return 0, os.NewSyscallError("write", syscall.EPIPE)
		}
		return len(p), nil
	default:
		return f.Conn.Write(p)
	}
}

func (f *fragile) Close() error {
	defer f.once.Do(func() { close(f.closed) })
	return f.Conn.Close()
}

// fragileClient is a client whose every connection can be cut.
func fragileClient(t *testing.T, server *httptest.Server, secured, deaf bool) (client *http.Client, last func() *fragile) {
	t.Helper()
	server.EnableHTTP2 = false
	cfg := TransportConfig{}
	if secured {
		server.StartTLS()
		cfg.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&cfg)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	var newest atomic.Pointer[fragile]
	transport := client.Transport.(*guard).transport
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		outer := conn.(*line)
		inner := &fragile{
			Conn:   outer.Conn,
			cut:    make(chan struct{}),
			closed: make(chan struct{}),
			deaf:   deaf,
		}
		newest.Store(inner)
		outer.Conn = inner
		return outer, nil
	}
	return client, newest.Load
}

// The server closes a kept-alive connection at the moment in which a request takes
// it, and before any of the request is written.
func TestClient_FindsAKeptConnectionClosed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ secured, deaf, noticed bool }{
		"plain, at the first write":     {deaf: true},
		"plain, before the first write": {noticed: true},
		"secured, at the first write":   {secured: true, deaf: true},
		"secured, before the first one": {secured: true, noticed: true},
		"secured, and nothing can be said": {
			secured: true,
			deaf:    true,
			noticed: true,
		},
	} {
		eachKey(t, name, func(t *testing.T, key bool) {
			var posts atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				posts.Add(1)
				w.WriteHeader(http.StatusNoContent)
			}))
			client, last := fragileClient(t, server, c.secured, c.deaf)
			status, x := postOnce(t.Context(), t, client, server.URL, key)
			require.Equal(t, http.StatusNoContent, status)
			require.Zero(t, x)
			var once sync.Once
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
				once.Do(func() {
					if !info.Reused {
						return
					}
					close(last().cut)
					if c.noticed {
						<-last().closed
					}
				})
			}})

			status, x = postOnce(ctx, t, client, server.URL, key)

			require.Equal(t, http.StatusNoContent, status)
			require.Equal(t, exchange.Exchange{Repeats: 1}, x)
			require.EqualValues(t, 2, posts.Load())
		})
	}
}

// The same moment, a little later: nobody knows what the server has read.
func TestClient_SendsNothingAgainOnceSomethingIsWritten(t *testing.T) {
	t.Parallel()
	for _, secured := range []bool{false, true} {
		eachKey(t, map[bool]string{false: "plain", true: "secured"}[secured], func(t *testing.T, key bool) {
			var posts atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if posts.Add(1) > 1 {
					panic(http.ErrAbortHandler)
				}
			}))
			client, _ := fragileClient(t, server, secured, false)
			status, _ := postOnce(t.Context(), t, client, server.URL, key)
			require.Equal(t, http.StatusOK, status)

			status, x := postOnce(t.Context(), t, client, server.URL, key)
			require.Zero(t, status)
			require.Equal(t, exchange.Exchange{Unanswered: true}, x)
			require.EqualValues(t, 2, posts.Load())
		})
	}
}

// A connection that was refused, or whose handshake failed, carried no request: that
// is a failure of the endpoint, and nothing to send again.
func TestClient_SendsNothingAgainWithoutAConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	client := newClient(t, local("127.0.0.1/32"))
	status, x := postOnce(t.Context(), t, client, server.URL, true) // it is not trusted
	require.Zero(t, status)
	require.Zero(t, x)

	server.Close()
	status, x = postOnce(t.Context(), t, client, strings.Replace(server.URL, "https", "http", 1), true)
	require.Zero(t, status)
	require.Zero(t, x)
}
