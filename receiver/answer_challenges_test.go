package receiver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/receiver"
)

const challengeBody = `{"type":"riverhook.challenge","challenge":"0a1b"}`

func TestAnswerChallenges_OneOfRiverhookIsVerifiedAndSentBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)

	r := b.send(http.MethodPost, "/hooks/sync", challengeBody, signed(t, "d1", challengeBody))

	require.Equal(t, http.StatusOK, r.StatusCode)
	require.JSONEq(t, `{"challenge":"0a1b"}`, r.text)
	require.Zero(t, b.ran())
	unsigned := b.send(http.MethodPost, "/hooks/sync", challengeBody, http.Header{"Content-Type": {"application/json"}})
	b.requireProblem(unsigned, http.StatusUnauthorized)
	require.NotContains(t, unsigned.text, "0a1b")
}

func TestAnswerChallenges_AnswersEachAndPassesAllElseOn(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(receiver.AnswerChallenges(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "next: "+r.Method+" "+string(body))
	})))
	t.Cleanup(server.Close)
	send := func(method, path string, body io.Reader, header http.Header) (status int, text string, got http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
		require.NoError(t, err)
		req.Header = header
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		read, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(read), resp.Header
	}

	_, text, _ := send(http.MethodPost, "/", strings.NewReader(challengeBody), http.Header{})
	require.JSONEq(t, `{"challenge":"0a1b"}`, text)
	_, text, _ = send(http.MethodGet, "/?a=b&echo=0a1b", nil, http.Header{})
	require.JSONEq(t, `{"echo":"0a1b"}`, text)
	status, _, got := send(http.MethodOptions, "/", nil, http.Header{"Webhook-Request-Origin": {"hooks.example.com"}})
	require.Equal(t, []any{200, "hooks.example.com"}, []any{status, got.Get("Webhook-Allowed-Origin")})
	status, _, got = send(http.MethodPost, "/", strings.NewReader(`{}`), http.Header{"X-Hook-Secret": {"0a1b"}})
	require.Equal(t, []any{200, "0a1b"}, []any{status, got.Get("X-Hook-Secret")})

	for _, body := range []string{
		`{"type":"user.created","challenge":"0a1b"}`, `{"type":"riverhook.challenge"}`, `riverhook.challenge`,
		`{"type":"riverhook.challenge","challenge":7}`,
		`{"type":"riverhook.challenge","challenge":"` + strings.Repeat("x", 257) + `"}`,
		`{"type":"riverhook.challenge","challenge":"x","pad":"` + strings.Repeat("x", 1024) + `"}`,
	} {
		_, text, _ = send(http.MethodPost, "/", strings.NewReader(body), http.Header{})
		require.Equal(t, "next: POST "+body, text)
		_, text, _ = send(http.MethodPost, "/", io.MultiReader(strings.NewReader(body)), http.Header{}) // of no known length
		require.Equal(t, "next: POST "+body, text)
	}
	_, text, _ = send(http.MethodPut, "/", strings.NewReader(challengeBody), http.Header{})
	require.Equal(t, "next: PUT "+challengeBody, text)
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		_, text, _ = send(method, "/", nil, http.Header{})
		require.Equal(t, "next: "+method+" ", text)
	}
}
