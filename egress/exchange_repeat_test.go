package egress

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/riverhook/riverhook/internal/exchange"
	"github.com/riverhook/riverhook/internal/http2test"
)

// farClient is a client that trusts a server.
func farClient(t *testing.T, server *http2test.Server) *http.Client {
	t.Helper()
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: server.Roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// postOnce posts "body", perhaps with an Idempotency-Key, and returns the status, 0
// for an error, and what is reported.
func postOnce(ctx context.Context, t *testing.T, client *http.Client, url string, key bool) (int, exchange.Exchange) {
	t.Helper()
	var x exchange.Exchange
	req, err := http.NewRequestWithContext(exchange.With(ctx, &x), http.MethodPost, url, strings.NewReader("body"))
	require.NoError(t, err)
	if key {
		req.Header.Set("Idempotency-Key", "1")
		req.Header.Set("X-Idempotency-Key", "1")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, x
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, x
}

// eachKey runs a test without and with an Idempotency-Key, which makes net/http
// repeat what may have been processed.
func eachKey(t *testing.T, name string, run func(t *testing.T, key bool)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		run(t, false)
	})
	t.Run(name+", with Idempotency-Key", func(t *testing.T) {
		t.Parallel()
		run(t, true)
	})
}

func TestClient_SendsAgainWhatWasNotProcessed(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]http2test.Act{
		"GOAWAY":                          http2test.GoAway(0, http2.ErrCodeNo),
		"GOAWAY and the end":              http2test.All(http2test.GoAway(0, http2.ErrCodeNo), http2test.Close),
		"GOAWAY for an error":             http2test.GoAway(0, http2.ErrCodeEnhanceYourCalm),
		"GOAWAY for an error and the end": http2test.All(http2test.GoAway(0, http2.ErrCodeInternal), http2test.Close),
		"GOAWAY, announced":               http2test.All(http2test.GoAway(1<<31-1, http2.ErrCodeNo), http2test.GoAway(0, http2.ErrCodeNo)),
		"REFUSED_STREAM":                  http2test.Reset(http2.ErrCodeRefusedStream),
		"REFUSED_STREAM beside an end":    http2test.All(http2test.GoAway(1, http2.ErrCodeNo), http2test.Reset(http2.ErrCodeRefusedStream)),
		"GOAWAY, and a reset":             http2test.All(http2test.GoAway(0, http2.ErrCodeNo), http2test.Reset(http2.ErrCodeProtocol)),
	} {
		eachKey(t, name, func(t *testing.T, key bool) {
			server := http2test.Start(t, act)

			status, x := postOnce(t.Context(), t, farClient(t, server), server.URL, key)

			require.Equal(t, http.StatusNoContent, status)
			require.Equal(t, exchange.Exchange{Repeats: 1}, x)
			require.Len(t, server.Requests(), 2)
			for _, r := range server.Requests() {
				require.Equal(t, "body", r.Body)
				require.Equal(t, []string{"https"}, r.Header[":scheme"])
				require.Equal(t, key, r.Header["idempotency-key"] != nil)
			}
		})
	}
}

func TestClient_SendsNothingAgainThatMayHaveBeenProcessed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act      http2test.Act
		answered bool
	}{
		"a GOAWAY that names it, and the end": {act: http2test.All(http2test.GoAway(1, http2.ErrCodeNo), http2test.Close)},
		"a reset, and a GOAWAY that names it": {act: http2test.All(http2test.GoAway(1, http2.ErrCodeNo), http2test.Reset(http2.ErrCodeCancel))},
		"another stream refused":              {act: http2test.All(refuseAnother, http2test.Close)},
		"CANCEL":                              {act: http2test.Reset(http2.ErrCodeCancel)},
		"INTERNAL_ERROR":                      {act: http2test.Reset(http2.ErrCodeInternal)},
		"PROTOCOL_ERROR":                      {act: http2test.Reset(http2.ErrCodeProtocol)},
		"the end":                             {act: http2test.Close},
		"103, and GOAWAY":                     {act: http2test.All(http2test.Inform, http2test.GoAway(0, http2.ErrCodeNo)), answered: true},
		"103, and REFUSED_STREAM": {
			act: http2test.All(http2test.Inform, http2test.Reset(http2.ErrCodeRefusedStream)), answered: true,
		},
	} {
		eachKey(t, name, func(t *testing.T, key bool) {
			server := http2test.Start(t, c.act)

			status, x := postOnce(t.Context(), t, farClient(t, server), server.URL, key)

			require.Zero(t, status)
			require.Equal(t, exchange.Exchange{Unanswered: !c.answered}, x)
			require.Len(t, server.Requests(), 1)
		})
	}
}

func refuseAnother(c *http2test.Conn, r http2test.Request) {
	_ = c.WriteRSTStream(r.Stream+2, http2.ErrCodeRefusedStream)
}

func TestClient_SendsAgainAtMostThreeTimes(t *testing.T) {
	t.Parallel()
	refuse := http2test.Reset(http2.ErrCodeRefusedStream)
	goAway := http2test.GoAway(0, http2.ErrCodeNo)
	for name, script := range map[string][]http2test.Act{
		"GOAWAY":         {goAway, goAway, goAway, goAway},
		"REFUSED_STREAM": {refuse, refuse, refuse, refuse},
	} {
		eachKey(t, name, func(t *testing.T, key bool) {
			server := http2test.Start(t, script...)
			client := farClient(t, server)

			status, x := postOnce(t.Context(), t, client, server.URL, key)
			require.Zero(t, status)
			require.Equal(t, exchange.Exchange{Repeats: 3}, x)
			require.Len(t, server.Requests(), 4)

			status, x = postOnce(t.Context(), t, client, server.URL, key)
			require.Equal(t, http.StatusNoContent, status)
			require.Equal(t, exchange.Exchange{}, x)
		})
	}
}

func TestClient_AsksBeforeItSendsAgain(t *testing.T) {
	t.Parallel()
	server := http2test.Start(t, slices.Repeat([]http2test.Act{http2test.Reset(http2.ErrCodeRefusedStream)}, 3)...)
	asked := 0
	ctx := exchange.AskBeforeRepeats(t.Context(), func() bool {
		asked++
		return asked == 1
	})

	status, x := postOnce(ctx, t, farClient(t, server), server.URL, false)

	require.Zero(t, status)
	require.Equal(t, 2, asked)
	require.Equal(t, 1, x.Repeats)
	require.Len(t, server.Requests(), 2)
}

func TestClient_SendsNothingAgainAfterItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := http2test.Start(t, http2test.Reset(http2.ErrCodeRefusedStream), func(c *http2test.Conn, r http2test.Request) {
		cancel()
		http2test.Reset(http2.ErrCodeRefusedStream)(c, r)
	})

	status, x := postOnce(ctx, t, farClient(t, server), server.URL, false)

	require.Zero(t, status)
	require.Equal(t, 1, x.Repeats)
	require.Len(t, server.Requests(), 2)
}

// A body that cannot be had again is not sent again.
func TestClient_SendsNoHalfARequest(t *testing.T) {
	t.Parallel()
	server := http2test.Start(t, http2test.Reset(http2.ErrCodeRefusedStream))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
	require.NoError(t, err)
	req.GetBody = nil

	_, err = farClient(t, server).Do(req) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	require.Len(t, server.Requests(), 1)
}
