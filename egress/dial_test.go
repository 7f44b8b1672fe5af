package egress

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// resolverFunc answers lookups in tests.
type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

func resolveTo(texts ...string) resolverFunc {
	return func(context.Context, string, string) ([]netip.Addr, error) {
		addrs := make([]netip.Addr, 0, len(texts))
		for _, text := range texts {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs, nil
	}
}

// local opens the given addresses of this machine and every port.
func local(addrs ...string) *Config {
	cfg := &Config{AllowHTTP: true, AnyPort: true}
	for _, addr := range addrs {
		cfg.AllowCIDRs = append(cfg.AllowCIDRs, netip.MustParsePrefix(addr))
	}
	return cfg
}

// countingServer listens on loopback and counts the requests that reach it.
func countingServer(t *testing.T) (server *httptest.Server, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server, hits
}

func portOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

func post(t *testing.T, client *http.Client, url string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, nil
}

func newClient(t *testing.T, cfg *Config) *http.Client {
	t.Helper()
	client, err := newPolicy(t, cfg).Client(nil)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestDial_ANameThatResolvesToAClosedAddressIsNeverConnectedTo(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)

	cfg := &Config{
		AllowHTTP: true,
		AnyPort:   true,
		Resolver:  resolveTo("127.0.0.1"),
	}
	url := "http://hooks.example.com:" + portOf(t, server) + "/"
	require.NoError(t, newPolicy(t, cfg).CheckURL(url))
	_, err := post(t, newClient(t, cfg), url)
	requireBlocked(t, err, ruleAddress, "127.0.0.1 is not open: loopback")
	require.Zero(t, hits.Load())
}

func TestDial_TheSystemsResolverIsGuardedToo(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)

	cfg := &Config{AllowHTTP: true, AnyPort: true}
	transport, err := newPolicy(t, cfg).Transport(nil)
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		_, err = post(t, &http.Client{Transport: transport}, "http://"+host+":"+portOf(t, server)+"/")
		require.ErrorIs(t, err, ErrBlocked, host)
	}
	require.Zero(t, hits.Load())
}

func TestDial_RebindingANameAfterItWasCheckedGainsNothing(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)

	var lookups atomic.Int64
	cfg := local("127.0.0.1/32")
	cfg.Resolver = resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		if lookups.Add(1) <= 2 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	})
	client := newClient(t, cfg)
	url := "http://rebind.example.com:" + portOf(t, server) + "/"

	// What an application may look at before it accepts the endpoint.
	addrs, err := cfg.Resolver.LookupNetIP(t.Context(), "ip", "rebind.example.com")
	require.NoError(t, err)
	policy := newPolicy(t, cfg)
	require.NoError(t, policy.CheckURL(url))
	require.NoError(t, policy.checkAddr(addrs[0], nil))

	status, err := post(t, client, url)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)

	client.CloseIdleConnections()
	_, err = post(t, client, url)
	requireBlocked(t, err, ruleAddress, "127.0.0.2 is not open: loopback")
	require.EqualValues(t, 1, hits.Load())
	require.EqualValues(t, 3, lookups.Load())
}

func TestDial_OpenAddressesOfANameAreTriedWhenOthersAreClosed(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	cfg := local("127.0.0.1/32")
	cfg.Resolver = resolveTo("10.0.0.1", "169.254.169.254", "127.0.0.1")

	status, err := post(t, newClient(t, cfg), "http://hooks.example.com:"+portOf(t, server)+"/")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)
	require.EqualValues(t, 1, hits.Load())
}

func TestDial_APortIsJudgedThereToo(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	cfg := local("127.0.0.1/32")
	cfg.AnyPort = false
	transport, err := newPolicy(t, cfg).Transport(nil)
	require.NoError(t, err)

	_, err = post(t, &http.Client{Transport: transport}, server.URL)
	requireBlocked(t, err, rulePort, "is not open")
	require.Zero(t, hits.Load())
}

func TestDial_TheHostsOwnAddressesAreListedThere(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{AnyPort: true})
	policy.own.list = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(8, 8, 8, 8), Mask: net.CIDRMask(32, 32)}}, nil
	}

	_, err := policy.dialer(time.Second).dial(t.Context(), "tcp", "8.8.8.8:443")
	requireBlocked(t, err, ruleAddress, "an address of this host")
}

func TestDial_NothingIsDialledWhileTheHostsOwnAddressesAreUnknown(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, local("127.0.0.1/32"))
	policy.own.list = func() ([]net.Addr, error) { return nil, errors.New("no netlink") }

	_, err := policy.dialer(time.Second).dial(t.Context(), "tcp", "127.0.0.1:443")
	requireBlocked(t, err, ruleAddress, "no netlink")
}

func TestDial_TheHostsOwnAddressesAreListedAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	var lists int
	own := newOwnAddrs(time.Hour)
	own.list = func() ([]net.Addr, error) {
		lists++
		return []net.Addr{&net.IPNet{IP: net.IPv4(8, 8, 8, byte(lists)), Mask: net.CIDRMask(24, 32)}}, nil
	}

	for range 2 {
		addrs, err := own.get()
		require.NoError(t, err)
		require.True(t, addrs[netip.MustParseAddr("8.8.8.1")])
	}
	own.maxAge = 0
	addrs, err := own.get()
	require.NoError(t, err)
	require.True(t, addrs[netip.MustParseAddr("8.8.8.2")])
	require.False(t, addrs[netip.MustParseAddr("8.8.8.1")])
}

func TestDial_OnlyTCPIsDialled(t *testing.T) {
	t.Parallel()
	_, err := newPolicy(t, local("127.0.0.1/32")).dialer(time.Second).dial(t.Context(), "udp", "127.0.0.1:443")
	requireBlocked(t, err, ruleAddress, `network "udp4"`)
}

func TestDial_AFailedLookupIsADNSErrorWhateverTheResolverReturned(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		resolver resolverFunc
		timeout  bool
	}{
		"its own error": {resolver: func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("zone broken") }},
		"no address":    {resolver: resolveTo()},
		"a DNS error": {resolver: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			return nil, &net.DNSError{
				Err:        "no such host",
				Name:       host,
				IsNotFound: true,
			}
		}},
		"a panic":      {resolver: func(context.Context, string, string) ([]netip.Addr, error) { panic("zone broken") }},
		"no goroutine": {resolver: func(context.Context, string, string) ([]netip.Addr, error) { runtime.Goexit(); return nil, nil }},
		"no answer ever": {timeout: true, resolver: func(context.Context, string, string) ([]netip.Addr, error) {
			select {
			case <-t.Context().Done():
			case <-time.After(10 * time.Second): // so that the test fails where it is waited for
			}
			return nil, nil
		}},
		"no answer": {timeout: true, resolver: func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	} {
		cfg := local("127.0.0.1/32")
		cfg.Resolver = tc.resolver
		_, err := newPolicy(t, cfg).dialer(20*time.Millisecond).dial(t.Context(), "tcp", "hooks.example.com:443")
		var dnsErr *net.DNSError
		require.ErrorAs(t, err, &dnsErr, name)
		require.Equal(t, tc.timeout, dnsErr.Timeout(), name)
	}
}

func TestDial_ALiteralAddressIsNotLookedUp(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	cfg := local("127.0.0.1/32")
	cfg.Resolver = resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		return nil, errors.New("looked up")
	})

	_, err := post(t, newClient(t, cfg), server.URL)
	require.NoError(t, err)
	require.EqualValues(t, 1, hits.Load())
}

func TestDial_ALoopbackPortNobodyListensOnIsRefusedNotBlocked(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := netip.MustParseAddrPort(listener.Addr().String()).Port()
	require.NoError(t, listener.Close())

	_, err = post(t, newClient(t, local("127.0.0.1/32")), "http://127.0.0.1:"+strconv.Itoa(int(port))+"/")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrBlocked)
}
