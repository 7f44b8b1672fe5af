package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// throughProxy is a client of a policy that allows http, every port and nothing
// on this machine, behind a proxy.
func throughProxy(t *testing.T, p *Proxy, cfg *TransportConfig) *http.Client {
	t.Helper()
	client, err := newPolicy(t, &Config{
		AllowHTTP: true,
		AnyPort:   true,
		Proxy:     p,
	}).Client(cfg)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestProxy_RequestsGoThroughItAndItResolvesTheName(t *testing.T) {
	t.Parallel()
	const login = "hooks:s3cret"

	for name, s := range map[string]*proxyServer{
		"http":              newConnectProxy(t, false, "", 0),
		"http with login":   newConnectProxy(t, false, login, 0),
		"https":             newConnectProxy(t, true, "", 0),
		"https with login":  newConnectProxy(t, true, login, 0),
		"socks5":            newSOCKSProxy(t, "", 0),
		"socks5 with login": newSOCKSProxy(t, login, 0),
	} {
		p := s.proxy()
		if strings.HasSuffix(name, "login") {
			p = s.withLogin()
		}
		plain, hits := countingServer(t)
		secured := httptest.NewUnstartedServer(plain.Config.Handler)
		secured.EnableHTTP2 = true
		secured.StartTLS()
		t.Cleanup(secured.Close)
		roots := x509.NewCertPool()
		roots.AddCert(secured.Certificate())
		client := throughProxy(t, p, &TransportConfig{RootCAs: roots})

		want := make([]string, 0, 2)
		for _, target := range []*httptest.Server{plain, secured} {
			// The certificate of httptest is for this name.
			host := net.JoinHostPort("example.com", portOf(t, target))
			scheme, _, _ := strings.Cut(target.URL, ":")
			status, err := post(t, client, scheme+"://"+host+"/")
			require.NoError(t, err, name)
			require.Equal(t, http.StatusNoContent, status, name)
			verb := "CONNECT "
			if s.scheme == "socks5" {
				verb = "SOCKS "
			}
			want = append(want, verb+host)
		}
		require.Equal(t, want, s.asked(), name)
		require.EqualValues(t, 2, hits.Load(), name)
	}
}

func TestProxy_IsNotJudgedByTheRulesForEndpoints(t *testing.T) {
	t.Parallel()
	s := newConnectProxy(t, false, "", 0)
	server, _ := countingServer(t)
	policy := newPolicy(t, &Config{
		AllowHTTP:  true,
		AllowPorts: []int{portNumber(t, server)},
		Proxy:      s.proxy(),
	})

	require.ErrorIs(t, policy.CheckURL("http://"+s.address+"/"), ErrBlocked, "as an endpoint it is closed, port and address")
	client, err := policy.Client(nil)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	_, err = post(t, client, "http://example.com:"+portOf(t, server)+"/")
	require.NoError(t, err)
}

func portNumber(t *testing.T, server *httptest.Server) int {
	t.Helper()
	return int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
}

func TestProxy_BehindItWhatAURLSaysIsStillJudged(t *testing.T) {
	t.Parallel()

	for _, s := range []*proxyServer{newConnectProxy(t, false, "", 0), newSOCKSProxy(t, "", 0)} {
		policy := newPolicy(t, &Config{AllowPorts: []int{8080}, Proxy: s.proxy()})
		client, err := policy.Client(nil)
		require.NoError(t, err)
		transport, err := policy.Transport(nil)
		require.NoError(t, err)
		require.Nil(t, transport.Proxy)
		for raw, rule := range map[string]rule{
			"https://127.0.0.1/":            ruleAddress,
			"https://169.254.169.254/":      ruleAddress,
			"https://[::ffff:10.0.0.1]/":    ruleAddress,
			"https://[fd00:ec2::254]:8080/": ruleAddress,
			"https://localhost/":            ruleAddress,
			"https://127.1/":                ruleHost,
			"https://example.com:22/":       rulePort,
		} {
			_, err := post(t, client, raw)
			requireBlocked(t, err, rule, "")
			// The transport by itself, which does not see URLs, has the same rules.
			_, err = post(t, &http.Client{Transport: transport}, raw)
			requireBlocked(t, err, rule, "")
		}
		require.Empty(t, s.asked())
	}
}

func TestProxy_BehindItTheHostsOwnAddressesAreClosed(t *testing.T) {
	t.Parallel()
	s := newConnectProxy(t, false, "", 0)
	policy := newPolicy(t, &Config{Proxy: s.proxy()})
	policy.own.list = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(8, 8, 8, 8), Mask: net.CIDRMask(32, 32)}}, nil
	}

	_, err := policy.dialer(time.Second).dial(t.Context(), "tcp", "8.8.8.8:443")
	requireBlocked(t, err, ruleAddress, "an address of this host")
	policy.own.list = func() ([]net.Addr, error) { return nil, errors.New("no netlink") }
	policy.own.maxAge = 0
	_, err = policy.dialer(time.Second).dial(t.Context(), "tcp", "8.8.8.8:443")
	requireBlocked(t, err, ruleAddress, "no netlink")
	require.Empty(t, s.asked())
}

func TestProxy_ItsFailuresAreItsOwn(t *testing.T) {
	t.Parallel()
	hangs := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	says := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = io.WriteString(conn, text)
		}
	}
	later := func(conn net.Conn) {
		says("\x05\x00")(conn)
		says("\x04\x00\x00\x01xxxxxx")(conn)
	}
	at := func(scheme string, handle func(net.Conn)) *Proxy {
		return &Proxy{URL: scheme + "://" + serve(t, handle)}
	}
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	untrusted := newConnectProxy(t, true, "", 0).proxy()
	untrusted.RootCAs = nil

	for name, tc := range map[string]struct {
		proxy  *Proxy
		reason string
	}{
		"nobody listens":                 {&Proxy{URL: "http://" + closed.Addr().String()}, "cannot be reached"},
		"its certificate is not trusted": {untrusted, "TLS"},
		"no TLS":                         {at("https", says("HTTP/1.1 400 Bad Request\r\n\r\n")), "TLS"},
		"TLS hangs":                      {at("https", hangs), "TLS"},
		"http, no login":                 {newConnectProxy(t, false, "hooks:s3cret", 0).proxy(), "407"},
		"http, other login":              {newConnectProxy(t, false, "hooks:other", 0).withLogin(), "407"},
		"http, broken":                   {newConnectProxy(t, false, "", 500).proxy(), "answered CONNECT by 500"},
		"http, garbage":                  {at("http", says("what?\r\n\r\n")), "broke off"},
		"http, endless header":           {at("http", says("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 20<<10))), "broke off"},
		"http, talks ahead":              {at("http", says("HTTP/1.1 200 OK\r\n\r\nhello")), "ahead"},
		"http, hangs up":                 {at("http", func(net.Conn) {}), "broke off"},
		"socks5, no login":               {newSOCKSProxy(t, "hooks:s3cret", 0).proxy(), "credentials"},
		"socks5, other login":            {newSOCKSProxy(t, "hooks:other", 0).withLogin(), "credentials"},
		"socks5, general failure":        {newSOCKSProxy(t, "", 1).proxy(), "SOCKS reply 1"},
		"socks5, no CONNECT":             {newSOCKSProxy(t, "", 7).proxy(), "SOCKS reply 7"},
		"socks5, garbage":                {at("socks5", says("HTTP/1.1 400 Bad Request\r\n\r\n")), "does not speak SOCKS5"},
		"socks5, garbage later":          {at("socks5", later), "does not speak SOCKS5"},
		"socks5, hangs at first":         {at("socks5", hangs), "broke off"},
		"socks5, hangs up":               {at("socks5", func(net.Conn) {}), "broke off"},
	} {
		client := throughProxy(t, tc.proxy, &TransportConfig{ConnectTimeout: 300 * time.Millisecond})
		_, err := post(t, client, "http://example.com:81/")
		require.ErrorIs(t, err, ErrProxy, name)
		require.NotErrorIs(t, err, ErrBlocked, name)
		var failed *ProxyError
		require.ErrorAs(t, err, &failed, name)
		require.Contains(t, failed.Reason, tc.reason, name)
		require.NotContains(t, err.Error(), "s3cret", name)
	}
}

func TestProxy_WhatItSaysOfAnEndpointIsAnErrorOfTheDial(t *testing.T) {
	t.Parallel()
	slow := func(first ...string) string {
		return serve(t, func(conn net.Conn) {
			for _, text := range first {
				_, _ = conn.Read(make([]byte, 1024))
				_, _ = io.WriteString(conn, text)
			}
			_, _ = io.Copy(io.Discard, conn)
		})
	}

	for name, tc := range map[string]struct {
		proxy   *Proxy
		refused bool
		timeout bool
	}{
		"http, 502":                   {proxy: newConnectProxy(t, false, "", 502).proxy()},
		"http, 503":                   {proxy: newConnectProxy(t, false, "", 503).proxy()},
		"http, 504":                   {proxy: newConnectProxy(t, false, "", 504).proxy()},
		"http, no answer":             {proxy: &Proxy{URL: "http://" + slow()}, timeout: true},
		"socks5, network unreachable": {proxy: newSOCKSProxy(t, "", 3).proxy()},
		"socks5, host unreachable":    {proxy: newSOCKSProxy(t, "", 4).proxy()},
		"socks5, refused":             {proxy: newSOCKSProxy(t, "", 5).proxy(), refused: true},
		"socks5, TTL expired":         {proxy: newSOCKSProxy(t, "", 6).proxy()},
		"socks5, no answer":           {proxy: &Proxy{URL: "socks5://" + slow("\x05\x00")}, timeout: true},
	} {
		client := throughProxy(t, tc.proxy, &TransportConfig{ConnectTimeout: 300 * time.Millisecond})
		_, err := post(t, client, "http://example.com:81/")
		require.NotErrorIs(t, err, ErrProxy, name)
		var op *net.OpError
		require.ErrorAs(t, err, &op, name)
		require.Equal(t, "dial", op.Op, name)
		require.Equal(t, tc.timeout, op.Timeout(), name)
		require.Equal(t, tc.refused, errors.Is(err, syscall.ECONNREFUSED), name)
	}
}

func TestProxy_WhatItsRulesForbidIsBlocked(t *testing.T) {
	t.Parallel()

	for _, p := range []*Proxy{newConnectProxy(t, false, "", 403).proxy(), newSOCKSProxy(t, "", 2).proxy()} {
		_, err := post(t, throughProxy(t, p, nil), "http://example.com:81/")
		requireBlocked(t, err, ruleProxy, "the egress proxy does not allow it")
		var blocked *BlockedError
		require.ErrorAs(t, err, &blocked)
		require.Equal(t, "address not allowed", blocked.Owner())
	}
}

func TestProxy_AnInterruptedDialSaysNothingAboutIt(t *testing.T) {
	t.Parallel()

	for _, scheme := range []string{"http", "https", "socks5"} {
		ctx, cancel := context.WithCancel(t.Context())
		address := serve(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1024))
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		})
		policy := newPolicy(t, &Config{Proxy: &Proxy{URL: scheme + "://" + address}})
		_, err := policy.dialer(time.Minute).dial(ctx, "tcp", "example.com:443")
		require.ErrorIs(t, err, context.Canceled, scheme)
		require.NotErrorIs(t, err, ErrProxy, scheme)
	}
}

func TestProxy_AnIPLiteralReachesASOCKSOneAsAnAddress(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	s := newSOCKSProxy(t, "", 0)
	port := portOf(t, server)

	for _, host := range []string{"8.8.8.8", "2606:4700::1111"} {
		_, err := post(t, throughProxy(t, s.proxy(), nil), "http://"+net.JoinHostPort(host, port)+"/")
		require.NoError(t, err)
	}
	require.Equal(t, []string{"SOCKS 8.8.8.8:" + port, "SOCKS [2606:4700::1111]:" + port}, s.asked())
	require.EqualValues(t, 2, hits.Load())
}

func TestProxy_IsNotShownTheClientCertificateForEndpoints(t *testing.T) {
	t.Parallel()
	shown := make(chan int, 1)
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- len(r.TLS.PeerCertificates)
		w.WriteHeader(http.StatusBadGateway)
	}))
	proxy.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	roots := x509.NewCertPool()
	roots.AddCert(proxy.Certificate())
	mine := proxy.TLS.Certificates

	for want, p := range []*Proxy{{}, {Certificates: mine}} {
		p.URL, p.RootCAs = proxy.URL, roots
		_, err := post(t, throughProxy(t, p, &TransportConfig{Certificates: mine}), "https://example.com:81/")
		require.Error(t, err)
		require.Equal(t, want, <-shown)
	}
}

func TestProxy_ABadOneIsNamed(t *testing.T) {
	t.Parallel()
	long := &Proxy{
		URL:      "socks5://proxy.internal",
		Username: strings.Repeat("a", 256),
		Password: "s3cret",
	}

	for reason, cfg := range map[string]*Config{
		"Proxy.URL: must begin with":              {Proxy: &Proxy{URL: "ftp://proxy.internal"}},
		"Proxy.URL: must begin":                   {Proxy: &Proxy{}},
		"Proxy.URL: cannot be parsed":             {Proxy: &Proxy{URL: "http://s3cret:s3cret@%zz"}},
		"Proxy.URL: must not have a user":         {Proxy: &Proxy{URL: "http://hooks:s3cret@proxy.internal"}},
		"Proxy.URL: must have a host":             {Proxy: &Proxy{URL: "http://:3128"}},
		"Proxy.URL: must have a host and nothing": {Proxy: &Proxy{URL: "http://proxy.internal/path"}},
		"Proxy.Username: is required":             {Proxy: &Proxy{URL: "http://proxy.internal", Password: "s3cret"}},
		"Proxy.Username: must not hold a colon":   {Proxy: &Proxy{URL: "http://proxy.internal", Username: "a:b"}},
		"Proxy.Password: is required":             {Proxy: &Proxy{URL: "socks5://proxy.internal", Username: "a"}},
		"Proxy.Username, Password: have at most":  {Proxy: long},
		"Proxy.RootCAs, Certificates: are for":    {Proxy: &Proxy{URL: "http://proxy.internal", RootCAs: x509.NewCertPool()}},
		"Resolver: must be nil with Proxy":        {Proxy: &Proxy{URL: "http://proxy.internal"}, Resolver: resolveTo("127.0.0.1")},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, reason)
		require.NotContains(t, err.Error(), "s3cret")
	}
	for _, raw := range []string{"http://proxy.internal:3128/", "https://proxy.internal", "socks5://[::1]:1080", "socks5://10.0.0.1"} {
		_, err := New(&Config{Proxy: &Proxy{URL: raw}})
		require.NoError(t, err, raw)
	}
}

func TestProxy_NeverShowsItsPassword(t *testing.T) {
	t.Parallel()
	p := Proxy{
		URL:      "http://proxy.internal:3128",
		Username: "hooks",
		Password: "s3cret",
	}
	cfg := Config{Proxy: &p}

	text, err := json.Marshal(map[string]any{"value": p, "pointer": &p})
	require.NoError(t, err)
	var line strings.Builder
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&line, nil), slog.NewTextHandler(&line, nil)} {
		slog.New(handler).Info("x", "value", p, "pointer", &p, "config", cfg.Proxy, "holder", struct{ Proxy Proxy }{p})
	}
	for _, shown := range []string{
		fmt.Sprint(p), fmt.Sprintf("%v %+v %#v %s %q %x", p, p, p, p, p, p), fmt.Sprintf("%v %+v %#v", &p, &p, &p),
		fmt.Sprintf("%v %+v", cfg, cfg),
		string(text), line.String(),
	} {
		require.NotContains(t, shown, "s3cret")
	}
	require.Equal(t, (&url.URL{
		Scheme: "http",
		User:   url.User("hooks"),
		Host:   "proxy.internal:3128",
	}).String(), fmt.Sprint(p))
}
