package receiver_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

// The requests were made by client libraries that nobody here wrote.
func TestHandler_AcceptsWhatClientsOfOthersSigned(t *testing.T) {
	t.Parallel()
	verifiers := map[string]dialect.Verifier{
		"cloudevents":        dialect.CloudEventsVerifier(nil),
		"cloudevents-binary": dialect.CloudEventsVerifier(nil),
		"invenio":            dialect.HubVerifier(&dialect.HubOpts{SHA1: true}),
		"octokit":            dialect.HubVerifier(nil),
		"pywebhooks":         dialect.PyWebhooksVerifier(),
		"servo":              dialect.ServoVerifier(),
		"standardwebhooks":   dialect.StandardVerifier(nil),
		"stripe":             dialect.StripeVerifier(nil),
		"svix":               dialect.StandardVerifier(nil),
	}
	processed := map[string]string{}
	for _, name := range []string{"clients.json", "clients_python.json"} {
		raw, err := os.ReadFile(filepath.Join("..", "dialect", "testdata", name))
		require.NoError(t, err)
		var file struct {
			Secret    string `json:"secret"`
			Timestamp int64  `json:"timestamp"`
			Requests  map[string]struct {
				Body    string            `json:"body"`
				Headers map[string]string `json:"headers"`
			} `json:"requests"`
		}
		require.NoError(t, json.Unmarshal(raw, &file))
		secret, err := dialect.ParseSecret(file.Secret)
		require.NoError(t, err)
		for client, signed := range file.Requests {
			registry, err := receiver.NewRegistry(receiver.Receiver{
				Func: func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
					processed[client] += string(ev.Body)
					return receiver.Response{}, nil
				},
				Name:     client,
				Secrets:  receiver.StaticSecrets(secret),
				Sync:     true,
				Verifier: verifiers[client],
			})
			require.NoError(t, err)
			inbox := receiver.NewMemory(registry)
			t.Cleanup(inbox.Close)
			handler, err := receiver.NewHandler(registry, inbox, &receiver.Config{
				BaseURL: "https://app.example.com",
				Logger:  slog.New(slog.DiscardHandler),
				Now:     func() time.Time { return time.Unix(file.Timestamp, 0) },
			})
			require.NoError(t, err)
			req := dialect.Request{
				Method: http.MethodPost,
				URL:    "/" + client,
				Header: http.Header{},
			}
			for header, value := range signed.Headers {
				req.Header.Set(header, value)
			}
			require.Equal(t, http.StatusUnauthorized, serve(t, handler, req, []byte(signed.Body+" ")), client)
			require.Equal(t, http.StatusCreated, serve(t, handler, req, []byte(signed.Body)), client)
			require.Equal(t, signed.Body, processed[client])
		}
	}
	require.Len(t, processed, len(verifiers))
}
