package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTransport_TheDefaultOneIsWhatTheDocumentationSays(t *testing.T) {
	t.Parallel()
	transport, err := newPolicy(t, nil).Transport(nil)
	require.NoError(t, err)

	require.Nil(t, transport.Proxy)
	require.True(t, transport.DisableCompression)
	require.True(t, transport.ForceAttemptHTTP2)
	require.Equal(t, 30*time.Second, transport.IdleConnTimeout)
	require.Equal(t, 0, transport.MaxConnsPerHost)
	require.Equal(t, 1024, transport.MaxIdleConns)
	require.Equal(t, 64, transport.MaxIdleConnsPerHost)
	require.Equal(t, int64(64<<10), transport.MaxResponseHeaderBytes)
	require.Equal(t, 5*time.Second, transport.TLSHandshakeTimeout)
	require.Equal(t, uint16(tls.VersionTLS12), transport.TLSClientConfig.MinVersion)
	require.False(t, transport.TLSClientConfig.InsecureSkipVerify)
	require.Empty(t, transport.TLSClientConfig.Certificates)
	require.Nil(t, transport.DialTLSContext)
	require.Equal(t, 64<<10, transport.HTTP2.MaxReceiveBufferPerStream)
	require.Equal(t, 1<<20, transport.HTTP2.MaxReceiveBufferPerConnection)
	require.Equal(t, 5*time.Second, transport.HTTP2.WriteByteTimeout)
}

func TestClient_ARedirectToLoopbackIsTheAnswerAndIsNotFollowed(t *testing.T) {
	t.Parallel()
	target, hits := countingServer(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		origin := httptest.NewServer(http.RedirectHandler(target.URL, status))
		got, err := post(t, newClient(t, local("127.0.0.1/32")), origin.URL)
		origin.Close()
		require.NoError(t, err)
		require.Equal(t, status, got)
	}
	require.Zero(t, hits.Load())
}

func TestClient_HoldsEveryURLAgainstThePolicy(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	cfg := local("127.0.0.1/32")
	cfg.AllowHTTP = false

	_, err := post(t, newClient(t, cfg), server.URL)
	requireBlocked(t, err, ruleScheme, "https")

	_, err = post(t, newClient(t, local("127.0.0.1/32")), strings.Replace(server.URL, "//", "//user:pw@", 1))
	requireBlocked(t, err, ruleUserinfo, "user")
	require.Zero(t, hits.Load())
}

func TestClient_ClosesTheBodyOfARefusedRequest(t *testing.T) {
	t.Parallel()
	body := &closeRecorder{Reader: strings.NewReader("{}")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", body)
	require.NoError(t, err)

	_, err = newClient(t, nil).Do(req) //nolint:bodyclose // there is no answer
	require.ErrorIs(t, err, ErrBlocked)
	require.True(t, body.closed.Load())
}

type closeRecorder struct {
	io.Reader

	closed atomic.Bool
}

func (r *closeRecorder) Close() error {
	r.closed.Store(true)
	return nil
}

func TestTransport_VerifiesTLSAgainstTheConfiguredAuthorities(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)

	_, err := post(t, newClient(t, local("127.0.0.1/32")), server.URL)
	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unverified)

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	status, err := post(t, client, server.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status)
}

func TestTransport_ShowsTheClientCertificateToAnEndpointThatAsks(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	for _, certificates := range [][]tls.Certificate{nil, server.TLS.Certificates} {
		client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{Certificates: certificates, RootCAs: roots})
		require.NoError(t, err)
		_, err = post(t, client, server.URL)
		client.CloseIdleConnections()
		require.Equal(t, certificates == nil, err != nil, "%v", err)
	}
}

func TestTransport_RefusesAnOldTLSVersion(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)

	_, err = post(t, client, server.URL)
	require.ErrorContains(t, err, "protocol version")
}

func TestTransport_SpeaksHTTP2WhereItIsOffered(t *testing.T) {
	t.Parallel()
	protos := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protos <- r.Proto }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)

	_, err = post(t, client, server.URL)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", <-protos)
}

func TestTransport_BoundsTheHeadersOfAnAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 70<<10))
	}))
	t.Cleanup(server.Close)

	_, err := post(t, newClient(t, local("127.0.0.1/32")), server.URL)
	require.ErrorContains(t, err, "exceeded")
}

func TestTransport_NeitherAsksForCompressionNorUndoesIt(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for _, asked := range []string{"", "gzip"} {
			t.Run(fmt.Sprintf("http2=%t,asked=%q", http2, asked), func(t *testing.T) {
				t.Parallel()
				accepts := make(chan string, 1)
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					accepts <- r.Header.Get("Accept-Encoding")
					w.Header().Set("Content-Encoding", "gzip")
					_, _ = w.Write([]byte("not gzip"))
				}))
				client := startedClient(t, server, http2)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
				require.NoError(t, err)
				if asked != "" { // by a subscription that has such a header
					req.Header.Set("Accept-Encoding", asked)
				}

				resp, err := client.Do(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "not gzip", string(body))
				require.False(t, resp.Uncompressed)
				require.Equal(t, asked, <-accepts)
			})
		}
	}
}

// startedClient starts a server and returns a client that reaches it.
func startedClient(t *testing.T, server *httptest.Server, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
		roots.AddCert(server.Certificate())
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// The server sends as much of an endless body as it may. While another request
// goes to and fro it could send any amount more.
func TestTransport_OverHTTP2NoMoreIsSentAheadThanTheWindow(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			return
		}
		control := http.NewResponseController(w)
		for block := make([]byte, 1<<10); control.Flush() == nil; sent.Add(int64(len(block))) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	client := startedClient(t, server, true)

	resp, err := client.Get(server.URL + "/endless")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Eventually(t, func() bool { return sent.Load() > maxReceivedPerStream-4<<10 }, 10*time.Second, time.Millisecond)
	for range 100 {
		_, err := post(t, client, server.URL)
		require.NoError(t, err)
	}

	require.LessOrEqual(t, sent.Load(), int64(maxReceivedPerStream+4<<10))
	require.NoError(t, resp.Body.Close())
}

// The tests below pin what net/http does and the guard leans on.

const proxyChild = "RIVERHOOK_EGRESS_TEST_URL"

// net/http reads the environment's proxy once a process, so a child asks.
func TestNetHTTP_UsesNoProxyOfTheEnvironmentWithoutProxyFunc(t *testing.T) {
	t.Parallel()
	proxy, hits := countingServer(t)

	child := "-test.run=^TestNetHTTP_ChildThatPostsWithAProxyInItsEnvironment$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], child, "-test.count=1")
	cmd.Env = append(os.Environ(), proxyChild+"=http://hooks.example.com:81/",
		"HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "ALL_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "child: asked")
	require.EqualValues(t, 1, hits.Load(), "only the request through http.ProxyFromEnvironment")
}

func TestNetHTTP_ChildThatPostsWithAProxyInItsEnvironment(t *testing.T) {
	t.Parallel()
	url := os.Getenv(proxyChild)
	if url == "" {
		return // the parent's part is in the test above
	}
	cfg := &Config{
		AllowHTTP: true,
		AnyPort:   true,
		Resolver:  resolveTo("127.0.0.1"),
	}
	_, err := post(t, newClient(t, cfg), url)
	requireBlocked(t, err, ruleAddress, "loopback")

	// The twin: the environment does name a proxy that would have been used.
	status, err := post(t, &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}, url)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)
	_, _ = os.Stdout.WriteString("child: asked\n")
}

// dropSecond answers the first request of a connection and hangs up on the next,
// after it was read: what makes net/http repeat a replayable request.
func dropSecond(t *testing.T) (server *httptest.Server, posts *atomic.Int64) {
	t.Helper()
	posts = new(atomic.Int64)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if posts.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server, posts
}

func postTwiceWithIdempotencyKey(t *testing.T, client *http.Client, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		require.NotNil(t, req.GetBody)
		req.Header.Set("Idempotency-Key", "1")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
	}
	return nil
}

func TestClient_DoesNotRepeatAPostWithIdempotencyKey(t *testing.T) {
	t.Parallel()
	server, posts := dropSecond(t)

	err := postTwiceWithIdempotencyKey(t, newClient(t, local("127.0.0.1/32")), server.URL)
	require.Error(t, err)
	require.EqualValues(t, 2, posts.Load())
}

func TestNetHTTP_RepeatsAPostWithIdempotencyKeyThatHasGetBody(t *testing.T) {
	t.Parallel()
	server, posts := dropSecond(t)
	transport, err := newPolicy(t, local("127.0.0.1/32")).Transport(nil)
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)

	require.NoError(t, postTwiceWithIdempotencyKey(t, &http.Client{Transport: transport}, server.URL))
	require.EqualValues(t, 3, posts.Load(), "the second was sent twice: why a client drops GetBody")
}

func TestNetHTTP_RunsTheControlHookForEachAddressAfterResolution(t *testing.T) {
	t.Parallel()
	cfg := &Config{AnyPort: true, Resolver: resolveTo("127.0.0.1", "10.0.0.1")}
	_, err := newPolicy(t, cfg).dialer(time.Second).dial(t.Context(), "tcp", "hooks.example.com:443")
	requireBlocked(t, err, ruleAddress, "127.0.0.1")

	cfg.AllowCIDRs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	_, err = newPolicy(t, cfg).dialer(time.Second).dial(t.Context(), "tcp", "hooks.example.com:1")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrBlocked, "the open address was connected to, and refused")
}
