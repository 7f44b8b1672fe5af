//go:build interop

package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

// signingTask is what the scripts sign of testdata/clients read.
type signingTask struct {
	Secret    string `json:"secret"`
	Timestamp int64  `json:"timestamp"`
	URL       string `json:"url,omitempty"`
}

const (
	vectorSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	vectorTime   = 1777636800
)

// The other direction: what client libraries make, sign and send is accepted, and
// refused when it is not what they signed.
func TestReceiver_AcceptsWhatClientsOfOthersSend(t *testing.T) {
	t.Parallel()
	secret, err := dialect.NewSecret(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	var mu sync.Mutex
	bodies, want := map[string]string{}, map[string][]int{}
	var receivers receiver.Registry
	for name, verifier := range map[string]dialect.Verifier{
		"cloudevents":        dialect.CloudEventsVerifier(nil),
		"cloudevents-binary": dialect.CloudEventsVerifier(nil),
		"invenio":            dialect.HubVerifier(&dialect.HubOpts{SHA1: true}),
		"octokit":            dialect.HubVerifier(nil),
		"pywebhooks":         dialect.PyWebhooksVerifier(),
		"servo":              dialect.ServoVerifier(),
		"standardwebhooks":   dialect.StandardVerifier(nil),
		"stripe":             dialect.StripeVerifier(nil),
		"svix":               dialect.StandardVerifier(nil),
	} {
		want[name] = []int{http.StatusUnauthorized, http.StatusCreated}
		require.NoError(t, receivers.Register(receiver.Receiver{
			Func: func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				bodies[name] += string(ev.Body)
				return receiver.Response{}, nil
			},
			Name:     name,
			Secrets:  receiver.StaticSecrets(secret),
			Sync:     true,
			Verifier: verifier,
		}))
	}
	inbox := receiver.NewMemory(&receivers)
	t.Cleanup(inbox.Close)
	handler, err := receiver.NewHandler(&receivers, inbox, &receiver.Config{
		BaseURL: "http://localhost/hooks", Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)

	task := signingTask{
		Secret:    secret.Reveal(),
		Timestamp: time.Now().Unix(),
		URL:       server.URL + "/hooks/",
	}
	got := map[string][]int{}
	require.NoError(t, json.Unmarshal(runNode(t, "sign.mjs", task), &got))
	require.NoError(t, json.Unmarshal(runPython(t, "sign.py", task), &got))
	require.Equal(t, want, got)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, bodies, len(want))
	for name, body := range bodies {
		require.True(t, json.Valid([]byte(body)), "%s: one request and no other was processed: %s", name, body)
	}
}
