package egress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aged is a server over one protocol, and a client whose connections get old at once.
type aged struct {
	*httptest.Server

	client *http.Client
	opened atomic.Int64
	closed atomic.Int64
	hold   chan struct{} // what "/hold" waits for
	let    func()        // closes hold
	held   chan struct{}
	late   atomic.Int64 // requests on the connection of "/hold" after it
}

type connKey struct{}

const shortAge = 40 * time.Millisecond

func newAged(t *testing.T, protocol string) *aged {
	t.Helper()
	a := &aged{hold: make(chan struct{}), held: make(chan struct{}, 1)}
	a.let = sync.OnceFunc(func() { close(a.hold) })
	var holder atomic.Pointer[net.Conn]
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		if r.URL.Path == "/hold" {
			a.held <- struct{}{}
			<-a.hold
			holder.Store(&conn)
		} else if last := holder.Load(); last != nil && *last == conn {
			a.late.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	a.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		a.opened.Add(1)
		return context.WithValue(ctx, connKey{}, c)
	}
	a.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			a.closed.Add(1)
		}
	}
	a.EnableHTTP2 = protocol == "HTTP/2"
	cfg := &TransportConfig{}
	if protocol == "HTTP/1.1" {
		a.Start()
	} else {
		a.StartTLS()
		cfg.RootCAs = a.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	t.Cleanup(a.Close)
	t.Cleanup(a.let)
	policy := local("127.0.0.1/32")
	policy.MaxConnAge = shortAge
	var err error
	a.client, err = newPolicy(t, policy).Client(cfg)
	require.NoError(t, err)
	t.Cleanup(a.client.CloseIdleConnections)
	return a
}

// post posts, and wants an answer over a connection that takes it.
func (a *aged) post(t *testing.T) {
	t.Helper()
	status, x := postOnce(t.Context(), t, a.client, a.URL, false)
	require.Equal(t, http.StatusNoContent, status)
	require.Zero(t, x)
}

// postUntilOpened posts until so many connections were opened.
func (a *aged) postUntilOpened(t *testing.T, n int64) {
	t.Helper()
	for begun := time.Now(); a.opened.Load() < n; {
		a.post(t)
		require.Less(t, time.Since(begun), 20*time.Second)
	}
}

func eachProtocol(t *testing.T, run func(t *testing.T, a *aged)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/1.1 over TLS", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			run(t, newAged(t, protocol))
		})
	}
}

func TestMaxConnAge_ConnectionsInUseAreReplaced(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a *aged) {
		a.postUntilOpened(t, 4)
	})
}

func TestMaxConnAge_IdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a *aged) {
		a.post(t)
		require.Eventually(t, func() bool { return a.closed.Load() == 1 }, 10*time.Second, time.Millisecond)
		a.post(t)
		require.GreaterOrEqual(t, a.opened.Load(), int64(2))
	})
}

func TestMaxConnAge_RequestsUnderWayComeToTheirEnd(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a *aged) {
		done := make(chan int, 1)
		go func() {
			resp, err := a.client.Post(a.URL+"/hold", "application/json", nil)
			if err != nil {
				done <- 0
				return
			}
			_ = resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-a.held
		a.postUntilOpened(t, 4) // the connection of the request has been too old for long
		a.let()
		require.Equal(t, http.StatusNoContent, <-done)
		for range 10 {
			a.post(t)
		}
		require.Zero(t, a.late.Load())
	})
}

// moving is a Resolver whose answer changes.
type moving struct{ to atomic.Pointer[netip.Addr] }

func (m *moving) set(addr string) {
	parsed := netip.MustParseAddr(addr)
	m.to.Store(&parsed)
}

func (m *moving) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{*m.to.Load()}, nil
}

func TestMaxConnAge_NameThatMovesIsFollowedAndJudgedAnew(t *testing.T) {
	t.Parallel()
	first, firstHits := countingServer(t)
	port := portOf(t, first)
	var secondHits atomic.Int64
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.2:"+port)
	require.NoError(t, err)
	second := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		secondHits.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	_ = second.Listener.Close()
	second.Listener = listener
	second.Start()
	t.Cleanup(second.Close)
	names := &moving{}
	names.set("127.0.0.1")
	cfg := local("127.0.0.1/32", "127.0.0.2/32")
	cfg.Resolver, cfg.MaxConnAge = names, shortAge
	client, url := newClient(t, cfg), "http://hooks.example.com:"+port
	send := func() error {
		status, err := post(t, client, url)
		require.True(t, err != nil || status == http.StatusNoContent)
		return err
	}
	require.NoError(t, send())
	require.EqualValues(t, 1, firstHits.Load())

	names.set("127.0.0.2")
	require.Eventually(t, func() bool { return send() == nil && secondHits.Load() > 0 }, 10*time.Second, time.Millisecond)
	before := firstHits.Load()
	require.NoError(t, send())
	require.Equal(t, before, firstHits.Load())

	names.set("127.0.0.3") // is closed
	require.Eventually(t, func() bool { err = send(); return err != nil }, 10*time.Second, time.Millisecond)
	requireBlocked(t, err, ruleAddress, "127.0.0.3 is not open")
}

// A connection that takes longer to make than it may be used carries the request that it
// was made for, and no other.
func TestMaxConnAge_ShorterThanConnecting(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/1.1 over TLS", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			a := newAged(t, protocol)
			guarded, ok := a.client.Transport.(*guard)
			require.True(t, ok)
			dial := guarded.transport.DialContext
			guarded.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if l, ok := conn.(*line); ok {
					l.until = time.Now().Add(-time.Second)
				}
				return conn, err
			}
			for n := range int64(3) {
				a.post(t)
				require.Equal(t, n+1, a.opened.Load())
			}
			require.Eventually(t, func() bool { return a.closed.Load() == 3 }, 10*time.Second, time.Millisecond)
		})
	}
}

func TestMaxConnAge_ConnectionsEndAtDifferentTimes(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)
	require.Equal(t, 225*time.Second, policy.connAge(0))
	require.Equal(t, 5*time.Minute, policy.connAge(1))

	server, _ := countingServer(t)
	transport := newClient(t, local("127.0.0.1/32")).Transport.(*guard).transport
	ends := map[time.Duration]bool{}
	for range 16 {
		begun := time.Now()
		conn, err := transport.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		l, ok := conn.(*line)
		require.True(t, ok)
		left := l.until.Sub(begun)
		require.Greater(t, left, 224*time.Second)
		require.Less(t, left, 301*time.Second)
		ends[left.Round(time.Second)] = true
		require.NoError(t, conn.Close())
	}
	require.Greater(t, len(ends), 3)
}
