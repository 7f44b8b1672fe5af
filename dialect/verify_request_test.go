package dialect_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

func TestVerifyRequest_ReturnsTheBodyAndLeavesItToBeReadAgain(t *testing.T) {
	t.Parallel()
	at := time.Unix(1700000000, 0)
	secrets := []dialect.Secret{parse(t, secretText)}
	opts := &dialect.VerifyRequestOpts{Now: func() time.Time { return at }}
	signed := func(t *testing.T, body string) http.Header {
		t.Helper()
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      at,
			Body:    []byte(body),
			Secrets: secrets,
		})
		require.NoError(t, err)
		return h
	}
	request := func(t *testing.T, body string) *http.Request {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
		r.Header = signed(t, body)
		return r
	}

	t.Run("ReturnsTheBodyAndLeavesItToBeReadAgain", func(t *testing.T) {
		t.Parallel()
		r := request(t, `{ "a": 1 }`)
		body, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.NoError(t, err)
		require.Equal(t, `{ "a": 1 }`, string(body))
		again, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, body, again)
	})

	t.Run("AlsoAfterAVerificationThatFailed", func(t *testing.T) {
		t.Parallel()
		r := request(t, `{"a":1}`)
		_, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), nil, opts)
		require.ErrorIs(t, err, dialect.ErrBadSignature)
		body, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.NoError(t, err)
		require.Equal(t, `{"a":1}`, string(body))
	})

	t.Run("ClosesTheBodyThatCame", func(t *testing.T) {
		t.Parallel()
		r := request(t, `{}`)
		came := &closer{Reader: r.Body}
		r.Body = came
		_, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.NoError(t, err)
		require.Zero(t, came.closed)
		require.NoError(t, r.Body.Close())
		require.Equal(t, 1, came.closed)
	})

	t.Run("ReadsAsMuchAsIsAllowedAndNoMore", func(t *testing.T) {
		t.Parallel()
		limited := &dialect.VerifyRequestOpts{MaxBody: 10, Now: opts.Now}
		body, err := dialect.VerifyRequest(request(t, "0123456789"), dialect.StandardVerifier(nil), secrets, limited)
		require.NoError(t, err)
		require.Len(t, body, 10)

		for _, length := range []int64{11, -1} { // as announced, and chunked
			r := request(t, "0123456789a")
			r.ContentLength = length
			_, err = dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, limited)
			require.ErrorIs(t, err, dialect.ErrBodyTooLarge)
		}

		endless := request(t, "")
		endless.ContentLength, endless.Body = -1, io.NopCloser(zeros{})
		_, err = dialect.VerifyRequest(endless, dialect.StandardVerifier(nil), secrets, opts)
		require.EqualError(t, err, "dialect: body too large: more than 1048576 bytes")
	})

	t.Run("TellsAnAnnouncedLengthWithoutReading", func(t *testing.T) {
		t.Parallel()
		r := request(t, "")
		r.ContentLength, r.Body = 1<<20+1, io.NopCloser(iotest.ErrReader(errors.New("was read")))
		_, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.EqualError(t, err, "dialect: body too large: 1048577 bytes, at most 1048576")
	})

	t.Run("PassesTheErrorOfReadingOn", func(t *testing.T) {
		t.Parallel()
		r := request(t, "")
		r.ContentLength, r.Body = -1, io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
		_, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})

	t.Run("TakesARequestWithoutABody", func(t *testing.T) {
		t.Parallel()
		r := request(t, "")
		r.Body = nil
		body, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, opts)
		require.NoError(t, err)
		require.Empty(t, body)
	})

	t.Run("HasTheClockOfItsOptionsOrTheRealOne", func(t *testing.T) {
		t.Parallel()
		_, err := dialect.VerifyRequest(request(t, "{}"), dialect.StandardVerifier(nil), secrets, nil)
		require.ErrorIs(t, err, dialect.ErrTooOld)
		_, err = dialect.VerifyRequest(request(t, "{}"), dialect.StandardVerifier(nil), secrets, &dialect.VerifyRequestOpts{
			Now: func() time.Time { return at.Add(-time.Hour) },
		})
		require.ErrorIs(t, err, dialect.ErrTooNew)
	})

	t.Run("RefusesWhatMakesNoSense", func(t *testing.T) {
		t.Parallel()
		_, err := dialect.VerifyRequest(request(t, "{}"), nil, secrets, opts)
		require.EqualError(t, err, "dialect: verify: the Verifier is nil")
		_, err = dialect.VerifyRequest(request(t, "{}"), dialect.StandardVerifier(nil), secrets, &dialect.VerifyRequestOpts{MaxBody: -1})
		require.EqualError(t, err, "dialect: verify: VerifyRequestOpts.MaxBody must not be negative")
	})

	t.Run("AcceptsEverythingOfASenderThatSignsNothing", func(t *testing.T) {
		t.Parallel()
		body, err := dialect.VerifyRequest(httptest.NewRequest(http.MethodPost, "/", strings.NewReader("a")), dialect.Unsigned(), nil, nil)
		require.NoError(t, err)
		require.Equal(t, "a", string(body))
	})
}

// The handler behind a server, which reads the body a second time.
func TestVerifyRequest_WorksBehindAServer(t *testing.T) {
	t.Parallel()
	secrets := []dialect.Secret{parse(t, secretText)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), secrets, nil)
		switch {
		case errors.Is(err, dialect.ErrBodyTooLarge):
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case err != nil:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			again, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(body, again) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}
	send := func(body, sent string) int {
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      time.Now(),
			Body:    []byte(body),
			Secrets: secrets,
		})
		require.NoError(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(sent))
		require.NoError(t, err)
		req.Header = h
		req.Header.Set("Expect", "100-continue") // an answer instead of a reset, where the body is not read
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	large := strings.Repeat("a", 1<<20)
	require.Equal(t, http.StatusOK, send(large, large))
	require.Equal(t, http.StatusRequestEntityTooLarge, send(large+"a", large+"a"))
	require.Equal(t, http.StatusUnauthorized, send("{}", "{} "))
}

type closer struct {
	io.Reader

	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
