package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

// running is the program with its database. stop is the signal, and done what run returns.
type running struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
	stop context.CancelFunc
	done chan error

	client *http.Client
}

func start(t *testing.T) *running {
	t.Helper()
	database := pgtest.EmptyDatabase(t)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `
		CREATE TABLE app_user (id text PRIMARY KEY, office text NOT NULL, session text UNIQUE);
		CREATE TABLE person (id text PRIMARY KEY, office text NOT NULL, name text NOT NULL);
		INSERT INTO app_user VALUES ('ada', '/noaa/nws', 'ada''s'), ('bob', '/nasa', 'bob''s')`)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r := &running{
		t:      t,
		url:    "http://" + listener.Addr().String(),
		pool:   pool,
		stop:   stop,
		done:   make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}, Timeout: time.Minute},
	}
	go func() {
		r.done <- run(ctx, listener, database, delivery.Config{
			Egress: deliverytest.LocalPolicy(),
			Logger: slog.New(slog.DiscardHandler),
			Sealer: seal.Clear(),
		})
	}()
	return r
}

// ask makes a request of a user, and returns its status and what came back.
func (r *running) ask(session, method, path string, body io.Reader) (status int, answer map[string]any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	require.NoError(r.t, err)
	req.Header.Set("Authorization", session)
	if body != nil {
		req.Header.Set("Expect", "100-continue") // the body is read when the handler asks for it
	}
	resp, err := r.client.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	if json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"text": string(text)}
	}
	return resp.StatusCode, answer
}

func (r *running) subscribe(session string, form map[string]any) (status int, answer map[string]any) {
	r.t.Helper()
	body, err := json.Marshal(form)
	require.NoError(r.t, err)
	return r.ask(session, http.MethodPost, "/subscriptions", bytes.NewReader(body))
}

func (r *running) engines() (n int) {
	r.t.Helper()
	require.NoError(r.t, r.pool.QueryRow(r.t.Context(), `SELECT count(*) FROM riverhook.engine`).Scan(&n))
	return n
}

func TestWebapp_UsersGetTheEventsOfTheirOfficeAndNoOthers(t *testing.T) {
	t.Parallel()
	r := start(t)
	receiver := deliverytest.NewReceiver(t, nil)
	status, _ := r.ask("", http.MethodGet, "/ready", nil)
	require.Equal(t, http.StatusOK, status)
	events := []string{"person.*"}

	status, _ = r.ask("nobody's", http.MethodGet, "/subscriptions", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, site := range []string{"/", "/noaa", "/nasa", "/nasa/jpl"} {
		status, answer := r.subscribe("ada's", map[string]any{"url": receiver.URL(), "events": events, "site": site})
		require.Equal(t, http.StatusForbidden, status, "%s: %v", site, answer)
	}
	status, answer := r.subscribe("ada's", map[string]any{"url": "file:///etc", "events": events})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, answer["text"], "URL: ")
	status, answer = r.subscribe("ada's", map[string]any{"url": receiver.URL(), "events": events})
	require.Equal(t, http.StatusOK, status, answer)
	trust(t, receiver, answer)
	_, page := r.ask("ada's", http.MethodGet, "/subscriptions", nil)
	require.Contains(t, encoded(t, page), `"/noaa/nws"`, "no site is that of the user")
	_, page = r.ask("bob's", http.MethodGet, "/subscriptions", nil)
	require.NotContains(t, encoded(t, page), "/noaa")

	status, _ = r.ask("bob's", http.MethodPost, "/people", strings.NewReader(`{"id": "carl", "name": "Carl"}`))
	require.Equal(t, http.StatusOK, status)
	status, _ = r.ask("ada's", http.MethodPost, "/people", strings.NewReader(`{"id": "dora", "name": "Dora"}`))
	require.Equal(t, http.StatusOK, status)
	got, err := receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Contains(t, string(got[0].Body), "Dora")
	status, answer = r.ask("ada's", http.MethodGet, "/events/"+got[0].ID(), nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, encoded(t, answer), "may view the resource")
	status, _ = r.ask("bob's", http.MethodGet, "/events/"+got[0].ID(), nil)
	require.Equal(t, http.StatusNotFound, status)
	r.stop()
	require.NoError(t, <-r.done)
	require.Len(t, receiver.Requests(), 1)
}

// A request that is under way when the signal comes is answered while the engine still
// runs, and a webhook under way is recorded before the pool closes.
func TestWebapp_StopsInTheOrderOfUse(t *testing.T) {
	t.Parallel()
	r := start(t)
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	receiver := deliverytest.NewReceiver(t, &deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-released
		return deliverytest.Answer{}
	}})
	t.Cleanup(release)
	_, answer := r.subscribe("ada's", map[string]any{"url": receiver.URL(), "events": []string{"person.*"}})
	trust(t, receiver, answer)
	status, _ := r.ask("ada's", http.MethodPost, "/people", strings.NewReader(`{"id": "dora", "name": "Dora"}`))
	require.Equal(t, http.StatusOK, status)
	_, err := receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
	body, rest := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		status, _ := r.ask("ada's", http.MethodPost, "/people", body)
		answered <- status
	}()
	_, err = rest.Write([]byte(`{"id": "eve",`)) // the handler reads it
	require.NoError(t, err)

	r.stop()
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond, "nothing new is taken")
	require.Equal(t, 1, r.engines(), "the engine outlives the requests of users")
	_, err = rest.Write([]byte(` "name": "Eve"}`))
	require.NoError(t, err)
	require.NoError(t, rest.Close())
	require.Equal(t, http.StatusOK, <-answered)
	release()

	require.NoError(t, <-r.done)
	require.Zero(t, r.engines())
	var outcome string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT outcome FROM riverhook.attempt ORDER BY delivery_id LIMIT 1`).Scan(&outcome))
	require.Equal(t, "delivered", outcome)
}

func trust(t *testing.T, receiver *deliverytest.Receiver, answer map[string]any) {
	t.Helper()
	secret, err := dialect.ParseSecret(fmt.Sprint(answer["secret"]))
	require.NoError(t, err)
	require.NoError(t, receiver.Trust(secret))
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
