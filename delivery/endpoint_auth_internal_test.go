package delivery

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/egress"
)

func clientsEngine(t *testing.T) *Engine {
	t.Helper()
	policy, err := egress.New(nil)
	require.NoError(t, err)
	e := &Engine{cfg: &Config{
		Egress:      policy,
		MaxInFlight: 7,
		Transport:   egress.TransportConfig{MaxIdleConns: 3},
	}}
	require.NoError(t, e.makeClients())
	return e
}

func TestSubscriptionsWithTheSameTLSSettingsShareAClient(t *testing.T) {
	t.Parallel()
	e := clientsEngine(t)
	with := func(settings string) *endpointAuth {
		return &endpointAuth{tls: &ownTLS{digest: sha256.Sum256([]byte(settings))}}
	}

	require.Same(t, e.client, e.clientFor(noAuth))
	one := e.clientFor(with("one"))
	require.NotSame(t, e.client, one)
	require.Same(t, one, e.clientFor(with("one")))
	require.NotSame(t, one, e.clientFor(with("another")))
}

func TestTransportsThatAreNotUsedAreClosed(t *testing.T) {
	t.Parallel()
	e := clientsEngine(t)
	closed := map[*http.Client]int{}
	e.clients.forget = func(c *http.Client) { closed[c]++ }
	of := func(i int) *http.Client {
		return e.clientFor(&endpointAuth{tls: &ownTLS{digest: [sha256.Size]byte{byte(i), byte(i >> 8)}}})
	}

	first := of(0)
	for i := range 5 * rememberedClients {
		of(i + 1)
	}
	require.Equal(t, 1, closed[first])
	require.LessOrEqual(t, len(e.clients.young)+len(e.clients.old), 2*rememberedClients)

	last := of(1 << 15)
	e.forgetUnused(time.Now().Add(unusedAfter))
	require.Zero(t, closed[last])
	e.forgetUnused(time.Now().Add(2 * unusedAfter))
	require.Equal(t, 1, closed[last])
	require.NotSame(t, last, of(1<<15))
}

// A transport that is closed under a request lets it go on.
func TestARequestOutlivesItsTransport(t *testing.T) {
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
