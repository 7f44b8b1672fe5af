package egress

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests pin what net/http does and the guard leans on, or guards against.
// transport_test.go has those of proxies, of repeated requests and of the
// control hook. One that fails after an update of Go says that the guard must
// be looked at again.

// unguarded is a client over a transport of the policy, without what Client adds.
func unguarded(t *testing.T) *http.Client {
	t.Helper()
	transport, err := newPolicy(t, local("127.0.0.1/32")).Transport(nil)
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// rawServer answers the first request of each connection by what write writes,
// and hangs up.
func rawServer(t *testing.T, write func(w io.Writer)) string {
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
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					write(conn)
				}
			})
		}
	})
	return "http://" + listener.Addr().String() + "/"
}

func TestNetHTTP_FollowsARedirectWithTheBodyUnlessItIsTheAnswer(t *testing.T) {
	t.Parallel()
	target, hits := countingServer(t)
	origin := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	t.Cleanup(origin.Close)

	client := unguarded(t)
	status, err := post(t, client, origin.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status, "the target's answer")
	require.EqualValues(t, 1, hits.Load())

	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status, err = post(t, client, origin.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, status)
	require.EqualValues(t, 1, hits.Load())
}

func TestNetHTTP_GivesTheDialerTheNameAndPortOfTheURLForEachScheme(t *testing.T) {
	t.Parallel()
	errDialed := errors.New("dialed")
	var mu sync.Mutex
	var dialed []string
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialed = append(dialed, network+" "+address)
			return nil, errDialed
		},
	}
	for _, url := range []string{
		"http://hooks.example.com/", "https://hooks.example.com/", "https://hooks.example.com:8443/", "https://[2001:db8::1]/",
		"https://BÜCHER.example/", // why a URL's host must be ASCII before it is checked
	} {
		_, err := post(t, &http.Client{Transport: transport}, url)
		require.ErrorIs(t, err, errDialed, url)
	}
	slices.Sort(dialed)
	require.Equal(t, []string{
		"tcp [2001:db8::1]:443", "tcp hooks.example.com:443", "tcp hooks.example.com:80", "tcp hooks.example.com:8443",
		"tcp xn--bcher-kva.example:443",
	}, dialed)
}

func TestNetHTTP_InflatesAnAnswerUnlessCompressionIsDisabled(t *testing.T) {
	t.Parallel()
	// "hello" as gzip.
	const packed = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcaH\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff\x86\xa6\x106\x05\x00\x00\x00"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, packed)
	}))
	t.Cleanup(server.Close)
	get := func(client *http.Client) (body string, inflated bool) {
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(text), resp.Uncompressed
	}

	body, inflated := get(newClient(t, local("127.0.0.1/32")))
	require.Equal(t, packed, body)
	require.False(t, inflated)

	client := unguarded(t)
	client.Transport.(*http.Transport).DisableCompression = false
	body, inflated = get(client)
	require.Equal(t, "hello", body)
	require.True(t, inflated)
}

func TestNetHTTP_CountsInformationalAnswersAsHeaders(t *testing.T) {
	t.Parallel()
	hints := func(n int) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", n) }
	few := rawServer(t, func(w io.Writer) {
		_, _ = io.WriteString(w, hints(3)+"HTTP/1.1 204 No Content\r\n\r\n")
	})
	status, err := post(t, newClient(t, local("127.0.0.1/32")), few)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status)

	endless := rawServer(t, func(w io.Writer) {
		for {
			if _, err := io.WriteString(w, hints(1)); err != nil {
				return
			}
		}
	})
	_, err = post(t, newClient(t, local("127.0.0.1/32")), endless)
	require.ErrorContains(t, err, "exceeded")
}

func TestNetHTTP_BoundsHeadersOverHTTP2Too(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-Long-%d", i), strings.Repeat("x", 1<<10))
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for bound, fits := range map[int64]bool{64 << 10: false, 256 << 10: true} {
		client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots, MaxResponseHeaderBytes: bound})
		require.NoError(t, err)
		_, err = post(t, client, server.URL)
		require.Equal(t, fits, err == nil, "%d: %v", bound, err)
		client.CloseIdleConnections()
	}
}

func TestNetHTTP_RefusesHeadersAndURLsThatInjectLines(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	client := unguarded(t)
	for name, header := range map[string]http.Header{
		"a line break in a value": {"X-A": {"a\r\nX-B: b"}},
		"a line feed in a value":  {"X-A": {"a\nX-B: b"}},
		"NUL in a value":          {"X-A": {"\x00"}},
		"a line break in a name":  {"X-A\r\nX-B": {"b"}},
		"a space in a name":       {"X A": {"b"}},
		"a colon in a name":       {"X-A:": {"b"}},
		"no name":                 {"": {"b"}},
		"a line break in a key":   {"Host": {"a"}, "Idempotency-Key": {"\r\n"}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		require.NoError(t, err)
		req.Header = header
		_, err = client.Do(req) //nolint:bodyclose // there is no answer
		require.ErrorContains(t, err, "net/http: invalid header field", name)
	}
	for _, url := range []string{server.URL + "/\r\nX-A: a", server.URL + "/\x00", "http://a b/", "http://a\r\nb/"} {
		_, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
		require.Error(t, err, "%q", url)
	}
	_, err := http.NewRequestWithContext(t.Context(), "POST / HTTP/1.1\r\nX-A: a\r\n\r\n", server.URL, http.NoBody)
	require.ErrorContains(t, err, "invalid method")
	require.Zero(t, hits.Load())
}

func TestNetHTTP_TakesHostAndLengthFromTheRequestAndNotFromItsHeaders(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests <- r
	}))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header = http.Header{
		"Host": {"evil.example"}, "Content-Length": {"100"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X-A"}, "X-A": {"kept"},
	}
	resp, err := unguarded(t).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	got := <-requests
	require.Equal(t, strings.TrimPrefix(server.URL, "http://"), got.Host)
	require.EqualValues(t, 2, got.ContentLength)
	require.Empty(t, got.TransferEncoding)
	require.Empty(t, got.Trailer)
	require.Equal(t, "kept", got.Header.Get("X-A"))
}

func TestNetHTTP_SendsTheUserOfAURLAsCredentials(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") }))
	t.Cleanup(server.Close)

	_, err := post(t, unguarded(t), strings.Replace(server.URL, "//", "//user:pw@", 1))
	require.NoError(t, err)
	require.Equal(t, "Basic dXNlcjpwdw==", <-seen, "why a URL with a user is refused")
}

func TestNetHTTP_KeepsNoCookiesAndFollowsNoAlternative(t *testing.T) {
	t.Parallel()
	elsewhere, hits := countingServer(t)
	cookies := make(chan string, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		w.Header().Set("Set-Cookie", "session=1; Path=/")
		w.Header().Set("Alt-Svc", `http/1.1="`+strings.TrimPrefix(elsewhere.URL, "http://")+`"; ma=86400`)
		w.Header().Set("Refresh", "0; url="+elsewhere.URL)
	}))
	t.Cleanup(server.Close)
	client := newClient(t, local("127.0.0.1/32"))
	for range 2 {
		_, err := post(t, client, server.URL)
		require.NoError(t, err)
		require.Empty(t, <-cookies)
	}
	require.Zero(t, hits.Load())
}

func TestNetHTTP_BoundsReadingTheBodyByTheRequestsContext(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, http.NoBody)
	require.NoError(t, err)
	resp, err := newClient(t, local("127.0.0.1/32")).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()

	cancel()
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, context.Canceled)
}
