package subscription

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

// Headers that are accepted arrive as they were given, and whether accepted or
// not, none adds a line or changes what the dialect and HTTP set.
func FuzzHeaders_AddNothingButThemselvesOnTheWire(f *testing.F) {
	for _, seed := range [][4]string{
		{"X-A", "1", "X-B", "2"},
		{"Host", "evil", "content-length", "0"},
		{"X-A", "a\r\nX-B: b", "", ""},
		{"webhook-id", "1", "Webhook_Signature", "v1,"},
		{"Transfer-Encoding", "chunked", "Te", "trailers"},
		{"X-A\r\nX-B", "1", "X A", "1"},
		{"Authorization", "Bearer é", "Cookie", "a=b; c=d"},
		{"X-A", " a", "x-a", "b\t"},
		{"Idempotency-Key", "1", "User-Agent", "me"},
		{"Connection", "X-A", "X-A", "\x00"},
		{"X-A", "\x7f", "X-B", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	secret, err := dialect.NewSecret(bytes.Repeat([]byte("k"), 32))
	require.NoError(f, err)
	d, at := dialect.Standard(), time.Unix(1700000000, 0)
	msg, err := d.Envelope(dialect.Event{
		ID:         "msg_1",
		Type:       "a.b",
		OccurredAt: at,
	}, []byte(`{}`))
	require.NoError(f, err)
	build := func(headers map[string]string) (*http.Request, error) {
		to := dialect.Destination{
			URL:     "https://example.com/hook",
			Headers: headers,
			Secrets: []dialect.Secret{secret},
		}
		built, err := d.Request(msg, to, dialect.Attempt{Number: 1, At: at})
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequest(built.Method, built.URL, bytes.NewReader(built.Body))
		if err != nil {
			return nil, err
		}
		req.Header = built.Header
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			return nil, err
		}
		return http.ReadRequest(bufio.NewReader(&wire))
	}
	plain, err := build(nil)
	require.NoError(f, err)

	f.Fuzz(func(t *testing.T, name, value, otherName, otherValue string) {
		headers := map[string]string{name: value, otherName: otherValue}
		refused := checkHeaders(headers)
		if refused != nil {
			require.NotContains(t, refused.Error(), "hunter2")
			require.Less(t, len(refused.Error()), 600)
		}
		got, err := build(headers)
		if err != nil {
			require.Error(t, refused, "accepted, and then not sent: %v", err)
			return
		}
		body, err := io.ReadAll(got.Body)
		require.NoError(t, err)
		require.Equal(t, msg.Body, body)
		require.Equal(t, plain.Host, got.Host)
		require.Equal(t, plain.ContentLength, got.ContentLength)
		require.Equal(t, plain.TransferEncoding, got.TransferEncoding)
		require.Equal(t, plain.Method+plain.RequestURI, got.Method+got.RequestURI)
		for ours, values := range plain.Header {
			require.Equal(t, values, got.Header[ours], ours)
			delete(got.Header, ours)
		}
		for given, value := range headers {
			key := http.CanonicalHeaderKey(given)
			if refused == nil {
				require.Equal(t, []string{value}, got.Header[key], given)
			}
			delete(got.Header, key)
		}
		delete(got.Header, "Cache-Control") // ReadRequest makes it of "Pragma: no-cache"
		require.Empty(t, got.Header)
	})
}

// A URL is stored with a host in ASCII, or refused; one that is in ASCII is not
// touched, nor is what is behind the host.
func FuzzHost_AnInternationalOneIsWrittenInASCII(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/", "https://bücher.example/ü?ü=ü", "https://BÜCHER.example:8443", "https://аpple.com", "https://a。b",
		"https://１２７.0.0.1/", "https://b%C3%BCcher.example", "https://ü@example.com", "https://ü:ü@ü.example", "http://[::1%25ü]/", "ü", "//ü/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := asciiURL(raw)
		if err != nil {
			require.Empty(t, got)
			return
		}
		again, err := asciiURL(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
		if got == raw {
			return
		}
		before, err := url.Parse(raw)
		require.NoError(t, err)
		after, err := url.Parse(got)
		require.NoError(t, err, got)
		require.True(t, isASCII(after.Host), got)
		require.Equal(t, before.Scheme, after.Scheme)
		require.Equal(t, before.Port(), after.Port())
		require.Equal(t, before.User, after.User)
		require.Equal(t, before.RequestURI(), after.RequestURI())
		_, rest, _ := strings.Cut(raw, "//")
		require.True(t, strings.HasSuffix(got, strings.TrimPrefix(rest, before.Hostname())))
	})
}
