package send_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/egress"
)

// row is one request to a real server, and what must come of it.
type row struct {
	answer    deliverytest.Answer
	receiver  *deliverytest.ReceiverConfig
	policy    func(cfg *egress.Config)              // changes the local policy
	transport egress.TransportConfig                // RootCAs are filled in
	distrust  bool                                  // leaves RootCAs out
	url       func(t *testing.T, own string) string // default: the receiver's own
	timeout   time.Duration                         // default: ample
	cancel    bool                                  // cancels once the request arrived

	outcome attempt.Outcome
	class   string
	status  int
	detail  string // contained
}

// soon is short enough to wait for and long enough for what must happen first.
const soon = 300 * time.Millisecond

type failingResolver struct{ err error }

func (r failingResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	if r.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, r.err
}

// silent is a server that accepts connections and never says anything.
func silent(t *testing.T, _ string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return "https://" + listener.Addr().String()
}

// nobody is an address that nobody listens on.
func nobody(t *testing.T, _ string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}

func fixed(url string) func(*testing.T, string) string {
	return func(*testing.T, string) string { return url }
}

func asScheme(from, to string) func(*testing.T, string) string {
	return func(_ *testing.T, own string) string { return strings.Replace(own, from, to, 1) }
}

func serverRows() map[string]row {
	tls := &deliverytest.ReceiverConfig{TLS: true}
	http2 := &deliverytest.ReceiverConfig{TLS: true, HTTP2: true}
	raw := func(text string) deliverytest.Answer { return deliverytest.Answer{Raw: []byte(text)} }
	return map[string]row{
		"200": {
			answer:  deliverytest.Answer{Status: 200},
			outcome: attempt.OutcomeDelivered,
			status:  200,
		},
		"200 over HTTP/2": {
			receiver: http2,
			answer:   deliverytest.Answer{Status: 200},
			outcome:  attempt.OutcomeDelivered,
			status:   200,
		},
		"200 over TLS": {
			receiver: tls,
			answer:   deliverytest.Answer{Status: 200},
			outcome:  attempt.OutcomeDelivered,
			status:   200,
		},
		"200, body cut": {
			answer:  deliverytest.Answer{Body: []byte("{"), Truncate: true},
			outcome: attempt.OutcomeDelivered,
			status:  200,
		},
		"204": {outcome: attempt.OutcomeDelivered, status: 204},
		"299": {
			answer:  deliverytest.Answer{Status: 299},
			outcome: attempt.OutcomeDelivered,
			status:  299,
		},
		"304": {
			answer:  deliverytest.Answer{Status: 304},
			outcome: attempt.OutcomeRedirected,
			status:  304,
		},
		"308 to loopback": {
			answer:  deliverytest.Answer{Status: 308, Header: http.Header{"Location": {"http://127.0.0.1/"}}},
			outcome: attempt.OutcomeRedirected,
			status:  308,
		},
		"400": {
			answer:  deliverytest.Answer{Status: 400},
			outcome: attempt.OutcomeRejected,
			status:  400,
		},
		"410": {
			answer:  deliverytest.Answer{Status: 410},
			outcome: attempt.OutcomeGone,
			status:  410,
		},
		"429": {
			answer:  deliverytest.Answer{Status: 429},
			outcome: attempt.OutcomeThrottled,
			status:  429,
		},
		"500": {
			answer:  deliverytest.Answer{Status: 500},
			outcome: attempt.OutcomeFailed,
			status:  500,
		},
		"500, body cut": {
			answer: deliverytest.Answer{
				Status:   500,
				Body:     []byte("{"),
				Truncate: true,
			},
			outcome: attempt.OutcomeFailed,
			status:  500,
		},
		"500 with Retry-After": {
			answer:  deliverytest.Answer{Status: 500, Header: http.Header{"Retry-After": {"7"}}},
			outcome: attempt.OutcomeThrottled,
			status:  500,
		},
		"503": {
			answer:  deliverytest.Answer{Status: 503},
			outcome: attempt.OutcomeThrottled,
			status:  503,
		},

		"unasked upgrade": {
			answer:  raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
			status:  101,
		},
		"informational only": {
			answer:  raw("HTTP/1.1 103 Early Hints\r\n\r\n"),
			outcome: attempt.OutcomeUnreachable,
			class:   "closed",
		},
		"informational flood": {
			answer:  raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1000)+"\r\n\r\n", 100) + "HTTP/1.1 200 OK\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
		},
		"status 999": {
			answer:  raw("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
			status:  999,
		},
		"garbage": {
			answer:  raw("\x00\xff\x1b not HTTP\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
			detail:  "malformed",
		},
		"garbage status": {
			answer:  raw("HTTP/1.1 abc\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
		},
		"garbage header": {
			answer:  raw("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
		},
		"endless header": {
			answer:  raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 80<<10)),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
			detail:  "exceeded",
		},
		"half a header": {
			answer:  raw("HTTP/1.1 200 OK\r\nX: 1"),
			outcome: attempt.OutcomeUnreachable,
			class:   "closed",
		},
		"another protocol": {
			answer:  raw("SSH-2.0-OpenSSH_9.9\r\n"),
			outcome: attempt.OutcomeFailed,
			class:   "protocol",
		},

		"closed": {
			answer:  deliverytest.Answer{Close: true},
			outcome: attempt.OutcomeUnreachable,
			class:   "closed",
		},
		"reset": {
			answer:  deliverytest.Answer{Reset: true},
			outcome: attempt.OutcomeUnreachable,
			class:   "reset",
		},
		"reset over TLS": {
			receiver: tls,
			answer:   deliverytest.Answer{Reset: true},
			outcome:  attempt.OutcomeUnreachable,
			class:    "reset",
		},
		"stream reset": {
			receiver: http2,
			answer:   deliverytest.Answer{Reset: true},
			outcome:  attempt.OutcomeUnreachable,
			class:    "reset",
		},
		"refused": {
			url:     nobody,
			outcome: attempt.OutcomeUnreachable,
			class:   "refused",
		},
		"unknown authority": {
			receiver: tls,
			distrust: true,
			outcome:  attempt.OutcomeUnreachable,
			class:    "tls",
			detail:   "certificate",
		},
		"wrong name": {
			receiver: tls,
			policy:   resolveLocally,
			url:      otherName,
			outcome:  attempt.OutcomeUnreachable,
			class:    "tls",
			detail:   "certificate is valid for",
		},
		"http behind https": {
			url:     asScheme("http:", "https:"),
			outcome: attempt.OutcomeUnreachable,
			class:   "tls",
		},
		"https behind http": {
			receiver: tls,
			url:      asScheme("https:", "http:"),
			outcome:  attempt.OutcomeRejected,
			status:   400,
		},
		"no such name": {
			policy: resolveBy(&net.DNSError{
				Err:        "no such host",
				Name:       "h",
				IsNotFound: true,
			}),
			url:     fixed("http://hooks.example.com/"),
			outcome: attempt.OutcomeUnreachable,
			class:   "dns",
		},
		"broken resolver": {
			policy:  resolveBy(errors.New("broken")),
			url:     fixed("http://hooks.example.com/"),
			outcome: attempt.OutcomeUnreachable,
			class:   "dns",
		},
		"panicking resolver": {
			policy:  func(cfg *egress.Config) { cfg.Resolver = panickingResolver{} },
			url:     fixed("http://hooks.example.com/"),
			outcome: attempt.OutcomeUnreachable,
			class:   "dns",
		},
		"blocked literal": {
			url:     fixed("http://10.0.0.1/"),
			outcome: attempt.OutcomeBlocked,
			class:   "blocked",
			detail:  "address not allowed",
		},
		"blocked name": {
			policy:  closeLoopback,
			url:     otherName,
			outcome: attempt.OutcomeBlocked,
			class:   "blocked",
			detail:  "address not allowed",
		},
		"blocked scheme": {
			policy:  func(cfg *egress.Config) { cfg.AllowHTTP = false },
			outcome: attempt.OutcomeBlocked,
			class:   "blocked",
			detail:  "https",
		},
		"proxy refused": {
			policy:  func(cfg *egress.Config) { cfg.Proxy = &egress.Proxy{URL: "http://127.0.0.1:1"} },
			outcome: attempt.OutcomeProxyFailed,
			class:   "proxy",
			detail:  "the egress proxy failed",
		},
		"canceled in flight": {
			answer:  deliverytest.Answer{Hang: true},
			cancel:  true,
			outcome: attempt.OutcomeInterrupted,
			class:   "canceled",
		},
		"lookup timeout": {
			policy:    resolveBy(nil),
			transport: egress.TransportConfig{ConnectTimeout: soon},
			url:       fixed("http://hooks.example.com/"),
			outcome:   attempt.OutcomeTimeout,
			class:     "dns",
		},
		"connect timeout": {
			transport: egress.TransportConfig{ConnectTimeout: 1},
			outcome:   attempt.OutcomeTimeout,
			class:     "connect",
		},
		"handshake timeout": {
			transport: egress.TransportConfig{TLSHandshakeTimeout: soon},
			url:       silent,
			outcome:   attempt.OutcomeTimeout,
			class:     "tls",
		},
		"answer timeout": {
			answer:  deliverytest.Answer{Hang: true},
			timeout: soon,
			outcome: attempt.OutcomeTimeout,
			class:   "timeout",
		},
		"HTTP/2 timeout": {
			receiver: http2,
			answer:   deliverytest.Answer{Hang: true},
			timeout:  soon,
			outcome:  attempt.OutcomeTimeout,
			class:    "timeout",
		},
		"handshake too long": {
			url:     silent,
			timeout: soon,
			outcome: attempt.OutcomeTimeout,
			class:   "timeout",
		},
		"200, endless body": {
			answer:  deliverytest.Answer{Drip: time.Millisecond},
			timeout: soon,
			outcome: attempt.OutcomeTimeout,
			class:   "body",
			status:  200,
		},
		"500, endless body": {
			answer:  deliverytest.Answer{Status: 500, Drip: time.Millisecond},
			timeout: soon,
			outcome: attempt.OutcomeFailed,
			status:  500,
		},
		"200, HTTP/2, drip": {
			receiver: http2,
			answer:   deliverytest.Answer{Drip: time.Millisecond},
			timeout:  soon,
			outcome:  attempt.OutcomeTimeout,
			class:    "body",
			status:   200,
		},
		"answer after a wait": {
			answer:  deliverytest.Answer{Delay: 10 * time.Millisecond},
			outcome: attempt.OutcomeDelivered,
			status:  204,
		},
	}
}

func resolveBy(err error) func(*egress.Config) {
	return func(cfg *egress.Config) { cfg.Resolver = failingResolver{err: err} }
}

type panickingResolver struct{}

func (panickingResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	panic("zone broken")
}

type localResolver struct{}

func (localResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func resolveLocally(cfg *egress.Config) { cfg.Resolver = localResolver{} }

func closeLoopback(cfg *egress.Config) {
	cfg.AllowCIDRs, cfg.Resolver = nil, localResolver{}
}

func otherName(_ *testing.T, own string) string {
	return strings.Replace(own, "127.0.0.1", "hooks.example.net", 1)
}

func TestClassify_AnswersOfRealServers(t *testing.T) {
	t.Parallel()
	for name, tc := range serverRows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deliverytest.NewReceiver(t, tc.receiver)
			r.Script(tc.answer)
			status, header, err := postOnce(t, r, tc)

			named, _ := attempt.RetryAfter(status, header, time.Now(), 0)
			v := send.Classify(status, named > 0, err)
			require.Equal(t, tc.outcome, v.Outcome, "%v", err)
			require.Equal(t, tc.class, v.Class, "%v", err)
			require.Equal(t, tc.status, status)
			require.Contains(t, v.Detail, tc.detail)
			require.NotContains(t, v.Detail, "127.0.0.1:")
			if value := tc.answer.Header.Get("Retry-After"); value != "" {
				require.Equal(t, 7*time.Second, named)
			}
		})
	}
}

// postOnce sends one request as an engine does.
func postOnce(t *testing.T, r *deliverytest.Receiver, tc row) (int, http.Header, error) {
	t.Helper()
	cfg := deliverytest.LocalEgress()
	if tc.policy != nil {
		tc.policy(cfg)
	}
	policy, err := egress.New(cfg)
	require.NoError(t, err)
	if !tc.distrust {
		tc.transport.RootCAs = r.RootCAs()
	}
	client, err := policy.Client(&tc.transport)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)

	url := r.URL()
	if tc.url != nil {
		url = tc.url(t, url)
	}
	timeout := tc.timeout
	if timeout == 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if tc.cancel {
		go func() {
			_, _ = r.Wait(ctx, 1)
			cancel()
		}()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10))
	return resp.StatusCode, resp.Header, err
}
