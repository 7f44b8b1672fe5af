package delivery_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/subscription"
)

// point subscribes a URL.
func (b *bundle) point(url string, change func(spec *subscription.Spec)) uuid.UUID {
	b.t.Helper()
	spec := subscription.Spec{
		URL:      url,
		Events:   []string{"**"},
		Owner:    "owner",
		Schedule: "twice",
	}
	if change != nil {
		change(&spec)
	}
	created, err := b.subs.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	return created.ID
}

// told is what came of the first attempt of an intent for a subscription.
func (b *bundle) told(intentID string, to uuid.UUID) string {
	b.t.Helper()
	attempts := b.attempts(b.delivery(intentID, to).ID)
	require.NotEmpty(b.t, attempts)
	return attempts[0].Outcome + " " + attempts[0].Error
}

// resolver resolves every name to one address.
type resolver struct{ address string }

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(r.address)}, nil
}

// policy is that of the bundle, as change leaves it.
func (b *bundle) policy(change func(cfg *egress.Config)) *egress.Policy {
	b.t.Helper()
	cfg := deliverytest.LocalEgress()
	change(cfg)
	policy, err := egress.New(cfg)
	require.NoError(b.t, err)
	return policy
}

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestTLS_ASubscriptionHasAuthoritiesAndACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	servers, clients := newAuthority(t), newAuthority(t)
	mine := clients.sign()
	open, mutual := servers.serve(nil, noContent).URL, servers.serve(clients, noContent).URL
	roots := func(spec *subscription.Spec) { spec.TLS.RootCAs = servers.pem() }
	both := func(spec *subscription.Spec) {
		spec.TLS = subscription.EndpointTLS{
			RootCAs:     servers.pem(),
			Certificate: mine.cert,
			Key:         subscription.Credential(mine.key),
		}
	}
	other := func(spec *subscription.Spec) {
		both(spec)
		spec.TLS.RootCAs = clients.pem()
	}
	delivered := []uuid.UUID{b.point(open, roots), b.point(open, both), b.point(mutual, both)}
	unreachable := []uuid.UUID{b.point(open, nil), b.point(open, other), b.point(mutual, roots), b.point(mutual, nil)}

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	for _, sub := range delivered {
		require.Equal(t, "delivered ", b.told(id, sub))
	}
	for _, sub := range unreachable {
		require.Contains(t, b.told(id, sub), "unreachable tls: ")
	}
	shown := b.subscription(delivered[1])
	require.True(t, shown.OwnRootCAs)
	require.True(t, shown.ClientCertificate)
	require.False(t, b.subscription(delivered[0]).ClientCertificate)
	require.False(t, b.subscription(unreachable[0]).OwnRootCAs)
}

func TestTLS_SettingsThatChangeAreUsedFromThenOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	servers := newAuthority(t)
	sub := b.point(servers.serve(nil, noContent).URL, nil)
	engine := b.engine(nil)

	for _, tc := range []struct {
		roots, want string
	}{
		{"", "unreachable tls: "}, {servers.pem(), "delivered "}, {newAuthority(t).pem(), "unreachable tls: "}, {servers.pem(), "delivered "},
	} {
		_, err := b.subs.Update(t.Context(), sub, subscription.Update{TLS: &subscription.EndpointTLS{RootCAs: tc.roots}})
		require.NoError(t, err)
		id := b.enqueue(nil)
		b.drain(engine)
		require.Contains(t, b.told(id, sub), tc.want)
	}
}

func TestTLS_TheEnginesAuthoritiesAndClientCertificateServeAll(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	servers, clients := newAuthority(t), newAuthority(t)
	shown := make(chan string, 2)
	mutual := servers.serve(clients, func(w http.ResponseWriter, r *http.Request) {
		shown <- r.TLS.PeerCertificates[0].SerialNumber.String()
		w.WriteHeader(http.StatusNoContent)
	}).URL
	sub := b.point(mutual, nil)

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Transport = egress.TransportConfig{RootCAs: servers.pool(), Certificates: []tls.Certificate{clients.sign().pair}}
	}))

	require.Equal(t, "delivered ", b.told(id, sub))
	require.Equal(t, "2", <-shown)
}

func TestToken_IsAskedForWithTheTLSSettingsOfItsSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	servers, clients := newAuthority(t), newAuthority(t)
	mine := clients.sign()
	tokens := servers.serve(clients, grant("token", 60))
	r := b.receiver(nil)
	b.subscribe(r, func(spec *subscription.Spec) {
		spec.Credentials = oauth2(tokens.URL)
		spec.TLS = subscription.EndpointTLS{
			RootCAs:     servers.pem(),
			Certificate: mine.cert,
			Key:         subscription.Credential(mine.key),
		}
	})

	b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, []string{"Bearer token"}, authorizations(r))
}

func TestSend_ConnectionsToOneHostAreBounded(t *testing.T) {
	t.Parallel()
	const requests = 6

	for most, set := range map[int]int{2: 2, requests: 0} {
		b := newBundle(t)
		// Requests are answered as soon as there are as many as may be.
		together := newBarrier(most)
		var now, seen atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			together.wait(r.Context())
			w.WriteHeader(http.StatusNoContent)
		}))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				seen.Store(max(seen.Load(), now.Add(1)))
			case http.StateClosed:
				now.Add(-1)
			default:
			}
		}
		server.Start()
		t.Cleanup(server.Close)
		for range requests {
			b.point(server.URL, nil)
		}

		id := b.enqueue(nil)
		b.drain(b.engine(func(cfg *delivery.Config) { cfg.Transport.MaxConnsPerHost = set }))

		for _, d := range b.deliveries(id) {
			require.Equal(t, "delivered", d.State)
		}
		require.LessOrEqual(t, seen.Load(), int64(most))
	}
}

// barrier lets pass whom it has n of.
type barrier struct {
	n int

	mu      sync.Mutex
	waiting int
	open    chan struct{}
}

func newBarrier(n int) *barrier { return &barrier{n: n, open: make(chan struct{})} }

func (b *barrier) wait(ctx context.Context) {
	b.mu.Lock()
	open := b.open
	b.waiting++
	if b.waiting == b.n {
		close(open)
		b.waiting, b.open = 0, make(chan struct{})
	}
	b.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
