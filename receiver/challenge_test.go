package receiver_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

func TestChallenge_ThatOfPyWebhooksIsEchoed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)

	r := b.send(http.MethodGet, "/hooks/async?echo=0a1b<", "", nil)

	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.JSONEq(t, `{"echo":"0a1b<"}`, r.text)
	b.requireProblem(b.send(http.MethodGet, "/hooks/async?echo=", "", nil), http.StatusBadRequest)
	b.requireProblem(b.send(http.MethodGet, "/hooks/async?echo="+strings.Repeat("x", 257), "", nil), http.StatusBadRequest)
	b.requireProblem(b.send(http.MethodGet, "/hooks/mine?echo=x", "", nil), http.StatusNotFound)
}

func TestChallenge_APingOfGitHubIsVerifiedAndNotStored(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	header := signed(t, "d1", `{"zen":"..."}`)
	header.Set("X-Github-Event", "ping")

	r := b.send(http.MethodPost, "/hooks/sync", `{"zen":"..."}`, header)

	require.Equal(t, http.StatusOK, r.StatusCode)
	require.JSONEq(t, `{"message":"pong","status":200}`, r.text)
	require.Empty(t, r.Header.Get("X-Hub-Delivery"))
	require.Zero(t, b.ran())
	header.Del("X-Hub-Signature-256")
	b.requireProblem(b.send(http.MethodPost, "/hooks/sync", `{"zen":"..."}`, header), http.StatusUnauthorized)
}

func TestChallenge_AHookSecretIsSentBackByWhoTakesIt(t *testing.T) {
	t.Parallel()
	var taken []string
	b := newBundle(t, func(rec *receiver.Receiver) {
		if rec.Name == "sync" {
			rec.HookSecret = func(_ context.Context, _, secret string) error {
				if len(taken) > 0 {
					return errors.New("there is one")
				}
				taken = append(taken, secret)
				return nil
			}
			rec.Secrets = func(context.Context, string) ([]dialect.Secret, error) {
				secret, err := dialect.NewTextSecret(taken[0])
				return []dialect.Secret{secret}, err
			}
		}
	})

	r := b.send(http.MethodPost, "/hooks/sync", "", http.Header{"X-Hook-Secret": {hubSecret}})

	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, hubSecret, r.Header.Get("X-Hook-Secret"))
	require.Equal(t, []string{hubSecret}, taken)
	require.Equal(t, http.StatusCreated, b.post("sync", "d1", `{}`).StatusCode, "signed with it")
	second := b.send(http.MethodPost, "/hooks/sync", "", http.Header{"X-Hook-Secret": {"another"}})
	b.requireProblem(second, http.StatusUnauthorized)
	require.Empty(t, second.Header.Get("X-Hook-Secret"))
	b.requireProblem(b.send(http.MethodPost, "/hooks/async", `{}`, http.Header{
		"Content-Type": {"application/json"}, "X-Hook-Secret": {"another"},
	}), http.StatusUnauthorized)
}

func TestChallenge_TheHandshakeOfCloudEvents(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) {
		if rec.Name == "sync" {
			rec.Origins = []string{"eventemitter.example.com"}
		}
	})
	ask := func(name, origin string) reply {
		return b.send(http.MethodOptions, "/hooks/"+name, "", http.Header{"Webhook-Request-Origin": {origin}, "Webhook-Request-Rate": {"120"}})
	}

	for _, name := range []string{"async", "sync"} {
		r := ask(name, "EventEmitter.example.com")
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, "EventEmitter.example.com", r.Header.Get("Webhook-Allowed-Origin"))
		require.Equal(t, "*", r.Header.Get("Webhook-Allowed-Rate"))
		require.Contains(t, r.Header.Get("Allow"), "POST")
	}
	refused := ask("sync", "other.example.com")
	b.requireProblem(refused, http.StatusForbidden)
	require.Empty(t, refused.Header.Get("Webhook-Allowed-Origin"))
}

func TestHandler_OtherMethodsAre405(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	event := self(b.post("sync", "d1", `{}`))

	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		r := b.send(method, "/hooks/sync", "", nil)
		require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode, method)
		require.Equal(t, "GET, OPTIONS, POST", r.Header.Get("Allow"))
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodOptions} {
		r := b.send(method, event, "", nil)
		b.requireProblem(r, http.StatusMethodNotAllowed)
		require.Equal(t, "DELETE, GET, HEAD", r.Header.Get("Allow"))
	}
}
