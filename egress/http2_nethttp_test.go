package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/riverhook/riverhook/internal/http2test"
)

// These tests pin what net/http does with HTTP/2, and why http2Conns takes its place
// in part.

// netHTTPClient is a client of net/http alone, with its own way with HTTP/2.
func netHTTPClient(t *testing.T, server *http2test.Server) *http.Client {
	t.Helper()
	transport, err := newPolicy(t, local("127.0.0.1/32")).Transport(&TransportConfig{RootCAs: server.Roots})
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A server that resets a stream by PROTOCOL_ERROR may have processed its request.
func TestNetHTTP_RepeatsOverHTTP2WhatMayHaveBeenProcessed(t *testing.T) {
	t.Parallel()
	server := http2test.Start(t, http2test.Reset(http2.ErrCodeProtocol))

	status, _ := postOnce(t.Context(), t, netHTTPClient(t, server), server.URL, false)
	require.Equal(t, http.StatusNoContent, status)
	require.Len(t, server.Requests(), 2, "why http2Conns has its own connections")
}

func TestNetHTTP_SaysOfNoErrorWithoutGetBodyWhatItIs(t *testing.T) {
	t.Parallel()
	server := http2test.Start(t, http2test.Reset(http2.ErrCodeRefusedStream), http2test.GoAway(0, http2.ErrCodeNo))
	client := netHTTPClient(t, server)
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
		require.NoError(t, err)
		req.GetBody = nil
		_, err = client.Do(req) //nolint:bodyclose // there is no answer
		require.Error(t, err)
		var stream http2.StreamError
		require.NotErrorAs(t, err, &stream, "why frames looks itself")
	}
}

// clientConn is a ClientConn as http2Conns makes it, which nothing else uses.
func clientConn(t *testing.T, server *http2test.Server) (*http.ClientConn, *frames) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		RootCAs:    server.Roots,
	}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server.URL, "https://"))
	require.NoError(t, err)
	watched := newFrames(conn.(*tls.Conn))
	client := newClient(t, local("127.0.0.1/32"))
	ctx := context.WithValue(t.Context(), givenKey{}, net.Conn(watched))
	made, err := client.Transport.(*guard).http2.maker.NewClientConn(ctx, "http", conn.RemoteAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = made.Close() })
	return made, watched
}

func TestNetHTTP_RepeatsNothingOverAClientConn(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]http2test.Act{
		"GOAWAY":         http2test.GoAway(0, http2.ErrCodeNo),
		"PROTOCOL_ERROR": http2test.Reset(http2.ErrCodeProtocol),
		"REFUSED_STREAM": http2test.Reset(http2.ErrCodeRefusedStream),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := http2test.Start(t, act)
			conn, _ := clientConn(t, server)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
			require.NoError(t, err)
			require.NotNil(t, req.GetBody)

			_, err = conn.RoundTrip(req) //nolint:bodyclose // there is no answer
			require.Error(t, err)
			require.Len(t, server.Requests(), 1)
		})
	}
}

// Whose headers were written is told before those of the next are.
func TestNetHTTP_TellsOfHeadersInTheOrderOfTheirStreams(t *testing.T) {
	t.Parallel()
	const n = 100
	server := http2test.Start(t)
	conn, watched := clientConn(t, server)
	var (
		mu      sync.Mutex
		streams = map[string]uint32{}
		wg      sync.WaitGroup
	)
	for i := range n {
		path := "/" + strconv.Itoa(i)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteHeaders: func() {
			mu.Lock()
			defer mu.Unlock()
			streams[path] = watched.newestStream()
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, strings.NewReader(strings.Repeat("x", 500)))
		require.NoError(t, err)
		wg.Go(func() {
			if resp, err := conn.RoundTrip(req); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()

	require.Len(t, server.Requests(), n)
	for _, r := range server.Requests() {
		require.Equal(t, []string{"https"}, r.Header[":scheme"])
		require.Equal(t, r.Stream, streams[r.Header[":path"][0]])
	}
}

// net/http dials again where its HTTP/2 says that it has no connection with room, and
// several wait for what one has dialed.
func TestClient_OpensAnotherConnectionWhereOneIsFull(t *testing.T) {
	t.Parallel()
	var arrived sync.WaitGroup
	arrived.Add(2)
	both := func(c *http2test.Conn, r http2test.Request) {
		arrived.Done()
		arrived.Wait()
		http2test.Answer(http.StatusOK)(c, r)
	}
	one := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}
	script := append([]http2test.Act{http2test.Answer(http.StatusOK)}, slices.Repeat([]http2test.Act{both}, 2)...)
	server := http2test.StartWith(t, one, script...)
	client := farClient(t, server)
	status, _ := postOnce(t.Context(), t, client, server.URL, false) // since then it knows the setting
	require.Equal(t, http.StatusOK, status)

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { postOnce(t.Context(), t, client, server.URL, false) })
	}
	wg.Wait()

	requests := server.Requests()
	require.Len(t, requests, 3)
	require.NotEqual(t, requests[1].Conn, requests[2].Conn)
	require.Equal(t, 1, min(requests[1].Conn, requests[2].Conn), "the first is used again")
}

func TestClient_SharesAConnectionOverHTTP2(t *testing.T) {
	t.Parallel()
	server := http2test.Start(t)
	client := farClient(t, server)
	postOnce(t.Context(), t, client, server.URL, false)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { postOnce(t.Context(), t, client, server.URL, false) })
	}
	wg.Wait()
	require.Len(t, server.Requests(), 51)
	require.Equal(t, 1, server.Open())
}

func TestClient_ReusesNoConnectionOverHTTP2WhoseAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("From", r.RemoteAddr)
		_, _ = w.Write(make([]byte, 256<<10)) // more than the window of a stream
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: roots})
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	get := func(read int64) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.Equal(t, 2, resp.ProtoMajor)
		_, err = io.CopyN(io.Discard, resp.Body, read)
		if read > 256<<10 {
			require.ErrorIs(t, err, io.EOF)
		}
		require.NoError(t, resp.Body.Close())
		return resp.Header.Get("From")
	}

	first := get(1 << 20)
	require.Equal(t, first, get(1<<20), "a connection whose answer was read to its end is used again")
	require.Equal(t, first, get(1))
	require.NotEqual(t, first, get(1<<20))
}

func TestClient_ClosesConnectionsOverHTTP2(t *testing.T) {
	t.Parallel()
	t.Run("that are idle", func(t *testing.T) {
		t.Parallel()
		server := http2test.Start(t)
		client, err := newPolicy(t, local("127.0.0.1/32")).Client(&TransportConfig{RootCAs: server.Roots, IdleTimeout: 50 * time.Millisecond})
		require.NoError(t, err)
		status, _ := postOnce(t.Context(), t, client, server.URL, false)
		require.Equal(t, http.StatusNoContent, status)
		requireForgotten(t, client, server)
	})
	t.Run("when it is told to", func(t *testing.T) {
		t.Parallel()
		server := http2test.Start(t)
		client := farClient(t, server)
		status, _ := postOnce(t.Context(), t, client, server.URL, false)
		require.Equal(t, http.StatusNoContent, status)
		require.Equal(t, 1, server.Open())
		client.CloseIdleConnections()
		requireForgotten(t, client, server)
	})
	t.Run("behind the last request", func(t *testing.T) {
		t.Parallel()
		var client *http.Client
		server := http2test.Start(t, func(c *http2test.Conn, r http2test.Request) {
			client.CloseIdleConnections()
			http2test.Answer(http.StatusOK)(c, r)
		})
		client = farClient(t, server)
		status, _ := postOnce(t.Context(), t, client, server.URL, false)
		require.Equal(t, http.StatusOK, status)
		requireForgotten(t, client, server)
	})
	t.Run("that the server leaves", func(t *testing.T) {
		t.Parallel()
		server := http2test.Start(t, http2test.All(http2test.GoAway(1, http2.ErrCodeNo), http2test.Answer(http.StatusOK)))
		client := farClient(t, server)
		status, _ := postOnce(t.Context(), t, client, server.URL, false)
		require.Equal(t, http.StatusOK, status)
		requireForgotten(t, client, server)
	})
}

// requireForgotten waits until no connection is left, at either end.
func requireForgotten(t *testing.T, client *http.Client, server *http2test.Server) {
	t.Helper()
	conns := client.Transport.(*guard).http2
	require.Eventually(t, func() bool {
		conns.mu.Lock()
		defer conns.mu.Unlock()
		return len(conns.of) == 0 && server.Open() == 0
	}, 10*time.Second, time.Millisecond)
}

// With GODEBUG=http2client=0 net/http speaks no HTTP/2, and neither does a client.
func TestClient_DoesWithoutHTTP2WhereNetHTTPDoes(t *testing.T) {
	t.Setenv("GODEBUG", "http2client=0")
	client := newClient(t, local("127.0.0.1/32"))
	require.Nil(t, client.Transport.(*guard).http2)
}
