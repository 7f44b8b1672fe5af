package credentials

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/internal/ttlcache"
)

func newClients(t *testing.T) *Clients {
	t.Helper()
	policy, err := egress.New(nil)
	require.NoError(t, err)
	c, err := NewClients(policy, egress.TransportConfig{MaxIdleConns: 3}, 7)
	require.NoError(t, err)
	return c
}

func TestFor_SharesAClientAmongEqualTLSSettings(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	with := func(settings string) *Endpoint {
		return &Endpoint{tls: &ownTLS{digest: sha256.Sum256([]byte(settings))}}
	}

	require.Same(t, c.shared, c.For(None()))
	one := c.For(with("one"))
	require.NotSame(t, c.shared, one)
	require.Same(t, one, c.For(with("one")))
	require.NotSame(t, one, c.For(with("another")))
}

func TestNewClients_BoundsConnectionsByRequests(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	require.Equal(t, 7, c.cfg.MaxConnsPerHost)
	require.Equal(t, 7, c.cfg.MaxIdleConnsPerHost)
	require.Equal(t, 3, c.cfg.MaxIdleConns, "what is set stays")
}

func TestCloseUnused_ClosesTransports(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	closed := map[*http.Client]int{}
	c.own = ttlcache.New(ttlcache.Config[digest, *http.Client]{
		OnEvict: func(client *http.Client) { closed[client]++ },
		Size:    rememberedClients,
		TTL:     unusedAfter,
	}, time.Now())
	of := func(i int) *http.Client {
		return c.For(&Endpoint{tls: &ownTLS{digest: digest{byte(i), byte(i >> 8)}}})
	}

	first := of(0)
	for i := range 5 * rememberedClients {
		of(i + 1)
	}
	require.Equal(t, 1, closed[first])
	require.LessOrEqual(t, c.own.Len(), 2*rememberedClients)

	last := of(1 << 15)
	c.CloseUnused(time.Now().Add(unusedAfter))
	require.Zero(t, closed[last])
	c.CloseUnused(time.Now().Add(2 * unusedAfter))
	require.Equal(t, 1, closed[last])
	require.NotSame(t, last, of(1<<15))
}

// A transport that is closed during a request lets it go on.
func TestClients_ARequestOutlivesItsTransport(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	closing := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		<-closing
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := client.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	require.Eventually(t, func() bool { return requests.Load() == 1 }, 5*time.Second, time.Millisecond)
	client.CloseIdleConnections()
	close(closing)
	require.NoError(t, <-done)
}
