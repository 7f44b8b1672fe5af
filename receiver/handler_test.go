package receiver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

const hubSecret = "it's a secret to everybody"

// bundle is a server with a handler of the receivers "async" and "sync", which
// verify as GitHub's do, and "mine", which has the token of ann and that of bob.
type bundle struct {
	*testing.T

	ann, bob string
	handler  *receiver.Handler
	inbox    receiver.Memory
	log      *safeBuffer
	server   *httptest.Server

	mu   sync.Mutex
	fn   receiver.Func
	runs []receiver.Event
}

func newBundle(t *testing.T, change func(rec *receiver.Receiver)) *bundle {
	t.Helper()
	b := &bundle{T: t, log: &safeBuffer{}}
	b.does(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	var annHash, bobHash receiver.TokenHash
	b.ann, annHash = receiver.NewToken()
	b.bob, bobHash = receiver.NewToken()
	secret, err := dialect.NewTextSecret(hubSecret)
	require.NoError(t, err)
	registry := &receiver.Registry{}
	for _, rec := range []receiver.Receiver{
		{
			Name:     "async",
			Verifier: dialect.HubVerifier(nil),
			Secrets:  receiver.StaticSecrets(secret),
		},
		{
			Name:     "sync",
			Sync:     true,
			Verifier: dialect.HubVerifier(nil),
			Secrets:  receiver.StaticSecrets(secret),
		},
		{Name: "mine", Tokens: receiver.StaticTokens{"ann": annHash, "bob": bobHash}},
	} {
		rec.Backoff = func(int) time.Duration { return time.Millisecond }
		rec.Func = b.run
		rec.MaxAttempts = 2
		if change != nil {
			change(&rec)
		}
		require.NoError(t, registry.Register(rec))
	}
	b.inbox = receiver.NewMemory(registry)
	t.Cleanup(b.inbox.Close)
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.handler.ServeHTTP(w, r) }))
	t.Cleanup(b.server.Close)
	b.handler, err = receiver.NewHandler(registry, b.inbox, &receiver.Config{
		BaseURL:   b.server.URL + "/hooks/",
		Logger:    slog.New(slog.NewTextHandler(b.log, nil)),
		DebugURLs: map[string]string{"sync": "https://tunnel.example/{token}"},
	})
	require.NoError(t, err)
	return b
}

func (b *bundle) does(fn receiver.Func) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fn = fn
}

func (b *bundle) run(ctx context.Context, ev receiver.Event) (receiver.Response, error) {
	b.mu.Lock()
	b.runs = append(b.runs, ev)
	fn := b.fn
	b.mu.Unlock()
	return fn(ctx, ev)
}

func (b *bundle) ran() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.runs)
}

type reply struct {
	*http.Response

	text string
}

func (b *bundle) send(method, path, body string, header http.Header) reply {
	b.Helper()
	url := path
	if strings.HasPrefix(path, "/") {
		url = b.server.URL + path
	}
	req, err := http.NewRequestWithContext(b.Context(), method, url, strings.NewReader(body))
	require.NoError(b, err)
	maps.Copy(req.Header, header)
	resp, err := b.server.Client().Do(req)
	require.NoError(b, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	require.NoError(b, resp.Body.Close())
	return reply{Response: resp, text: string(text)}
}

// post sends a JSON body that is signed as GitHub signs it.
func (b *bundle) post(name, deliveryID, body string) reply {
	b.Helper()
	return b.send(http.MethodPost, "/hooks/"+name, body, signed(b.T, deliveryID, body))
}

func signed(t *testing.T, deliveryID, body string) http.Header {
	t.Helper()
	secret, err := dialect.NewTextSecret(hubSecret)
	require.NoError(t, err)
	h, err := dialect.HubSigner(nil).Sign(dialect.SignInput{Body: []byte(body), Secrets: []dialect.Secret{secret}})
	require.NoError(t, err)
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("X-Github-Delivery", deliveryID)
	return h
}

func (b *bundle) requireProblem(r reply, status int) {
	b.Helper()
	require.Equal(b, status, r.StatusCode, r.text)
	require.Equal(b, "application/problem+json", r.Header.Get("Content-Type"))
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	require.NoError(b, json.Unmarshal([]byte(r.text), &problem))
	require.Equal(b, status, problem.Status)
	require.Equal(b, http.StatusText(status), problem.Title)
	require.Equal(b, "about:blank", problem.Type)
	require.NotEmpty(b, problem.Detail)
}

func self(r reply) string {
	link, _ := strings.CutSuffix(strings.TrimPrefix(r.Header.Get("Link"), "<"), `>; rel="self"`)
	return link
}

func (b *bundle) until(path string, status int) reply {
	b.Helper()
	var last reply
	require.Eventually(b, func() bool {
		last = b.send(http.MethodGet, path, "", nil)
		return last.StatusCode == status
	}, 20*time.Second, 5*time.Millisecond)
	return last
}

type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestHandler_AnEventIsAcceptedAndItsStatusCanBeAskedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	goOn := make(chan struct{})
	b.does(func(ctx context.Context, _ receiver.Event) (receiver.Response, error) {
		require.NoError(t, receiver.Report(ctx, "1 of 2 – \"é\""))
		<-goOn
		return receiver.Response{}, nil
	})

	accepted := b.post("async", "d1", `{"a":1}`)

	require.Equal(t, http.StatusAccepted, accepted.StatusCode)
	id := accepted.Header.Get("X-Hub-Delivery")
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
	require.Equal(t, "async", accepted.Header.Get("X-Hub-Event"))
	require.Equal(t, b.server.URL+"/hooks/async/"+id, self(accepted))
	var progress reply
	require.Eventually(t, func() bool {
		progress = b.send(http.MethodGet, self(accepted), "", nil)
		return progress.Header.Get("X-Hub-Info") != ""
	}, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, "1 of 2 ? \"?\"", progress.Header.Get("X-Hub-Info"))
	require.JSONEq(t, `{"id":"`+id+`","message":"1 of 2 – \"é\"","status":202}`, progress.text)
	close(goOn)
	done := b.until(self(accepted), http.StatusCreated)
	require.JSONEq(t, `{"id":"`+id+`","message":"Created.","status":201}`, done.text)
	require.Equal(t, http.StatusCreated, b.send(http.MethodHead, self(accepted), "", nil).StatusCode)
	require.Equal(t, http.StatusCreated, b.post("async", "d1", `{"a":1}`).StatusCode, "sent once more")
	require.Equal(t, 1, b.ran())
}

func TestHandler_ASyncReceiverAnswersItself(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	require.Equal(t, http.StatusCreated, b.post("sync", "d0", `{}`).StatusCode)
	b.does(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		return receiver.Response{
			Status:      http.StatusTeapot,
			ContentType: "text/plain",
			Body:        append([]byte("got "), ev.Body...),
		}, nil
	})

	for range 2 {
		got := b.post("sync", "d1", `[1]`)

		require.Equal(t, http.StatusTeapot, got.StatusCode)
		require.Equal(t, "text/plain", got.Header.Get("Content-Type"))
		require.Equal(t, "got [1]", got.text)
		require.Equal(t, "sync", got.Header.Get("X-Hub-Event"))
	}
	require.Equal(t, 2, b.ran())
}

func TestHandler_AnEventThatFailedForGoodIs500(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	goOn := make(chan struct{})
	b.does(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt == 2 {
			<-goOn
		}
		return receiver.Response{}, errors.New("inner workings")
	})

	accepted := b.post("sync", "d1", `{}`)

	require.Equal(t, http.StatusAccepted, accepted.StatusCode, "it will be tried again")
	close(goOn)
	failed := b.until(self(accepted), http.StatusInternalServerError)
	b.requireProblem(failed, http.StatusInternalServerError)
	require.Equal(t, accepted.Header.Get("X-Hub-Delivery"), failed.Header.Get("X-Hub-Delivery"))
	require.NotContains(t, failed.text, "inner workings")
	require.Equal(t, 2, b.ran())
	b.does(func(context.Context, receiver.Event) (receiver.Response, error) { panic("inner workings") })
	require.Equal(t, http.StatusAccepted, b.post("sync", "d2", `{}`).StatusCode, "a panic ends nothing but the attempt")
}

func TestRedelivery_OfAFailedEventIsTriedAnew(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]int{"async": http.StatusAccepted, "sync": http.StatusCreated} {
		b := newBundle(t, nil)
		b.does(func(context.Context, receiver.Event) (receiver.Response, error) {
			return receiver.Response{}, fmt.Errorf("no such order: %w", receiver.ErrPermanent)
		})
		first := b.post(name, "d1", `{}`)
		b.until(self(first), http.StatusInternalServerError)
		b.does(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })

		again := b.post(name, "d1", `{}`)

		require.Equal(t, answer, again.StatusCode, name)
		require.Equal(t, self(first), self(again), "it is the same event")
		b.until(self(first), http.StatusCreated)
		require.Equal(t, http.StatusCreated, b.post(name, "d1", `{}`).StatusCode)
		require.Equal(t, 2, b.ran())
	}
}

// A Sync receiver that fails again says so again, and the sender comes again.
func TestRedelivery_OfASyncEventThatFailsAgainIs500(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, receiver.ErrPermanent
	})

	for range 3 {
		b.requireProblem(b.post("sync", "d1", `{}`), http.StatusInternalServerError)
	}

	require.Equal(t, 3, b.ran())
}

func TestHandler_ADeletedEventIsGone(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	accepted := b.post("sync", "d1", `{}`)

	for range 2 {
		gone := b.send(http.MethodDelete, self(accepted), "", nil)
		b.requireProblem(gone, http.StatusGone)
		require.NotEmpty(t, gone.Header.Get("X-Hub-Delivery"))
	}

	b.requireProblem(b.send(http.MethodGet, self(accepted), "", nil), http.StatusGone)
	again := b.post("sync", "d1", `{}`)
	require.Equal(t, http.StatusOK, again.StatusCode, "a sender would take 410 for the end of its subscription")
	require.Equal(t, 1, b.ran())
}

func TestHandler_WhatIsNotThereIs404(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) {
		if rec.Name == "sync" {
			rec.Authorize = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer me" }
		}
	})
	anns, err := b.handler.HookURL("mine", b.ann)
	require.NoError(t, err)
	bobs, err := b.handler.HookURL("mine", b.bob)
	require.NoError(t, err)
	asJSON := http.Header{"Content-Type": {"application/json"}}
	event := b.send(http.MethodPost, anns, `{}`, asJSON)
	require.Equal(t, http.StatusAccepted, event.StatusCode)
	id := event.Header.Get("X-Hub-Delivery")
	guarded := b.post("sync", "d1", `{}`)

	for name, path := range map[string]string{
		"the root":                  "/hooks/",
		"another path":              "/async",
		"an unknown receiver":       "/hooks/unknown",
		"without the token":         "/hooks/mine",
		"with an empty token":       "/hooks/mine//",
		"with a wrong token":        "/hooks/mine/" + b.ann + "x",
		"a token where is no token": "/hooks/async/" + b.ann,
	} {
		r := b.send(http.MethodPost, path, `{}`, asJSON)
		require.Equal(t, http.StatusNotFound, r.StatusCode, name)
		b.requireProblem(r, http.StatusNotFound)
	}
	for name, path := range map[string]string{
		"a malformed id":           "/hooks/async/1",
		"an id in capitals":        anns + "/" + strings.ToUpper(id),
		"an unknown id":            "/hooks/async/00000000-0000-4000-8000-000000000000",
		"another receiver's event": "/hooks/async/" + id,
		"another owner's event":    bobs + "/" + id,
		"without the token":        "/hooks/mine/" + id,
		"too deep":                 anns + "/" + id + "/x",
		"who may not ask for it":   self(guarded),
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
			require.Equal(t, http.StatusNotFound, b.send(method, path, "", nil).StatusCode, "%s %s", method, name)
		}
	}
	require.Equal(t, http.StatusCreated, b.until(self(event), http.StatusCreated).StatusCode)
	require.Equal(t, http.StatusCreated, b.send(http.MethodGet, self(guarded), "", http.Header{"Authorization": {"Bearer me"}}).StatusCode)
}

func TestHandler_BodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) { rec.MaxBody = 100 })

	for _, tt := range []struct {
		name, contentType, body, deliveryID string
		status                              int
	}{
		{"JSON", "application/json", `{}`, "1", http.StatusCreated},
		{"JSON in capitals", "Application/JSON;Charset=utf-8", `[1]`, "2", http.StatusCreated},
		{"a type that ends in +json", "application/vnd.acme+json", `null`, "3", http.StatusCreated},
		{"a form", "application/x-www-form-urlencoded; charset=utf-8", "a=1&a=2", "4", http.StatusCreated},
		{"malformed JSON", "application/json", `{`, "5", http.StatusBadRequest},
		{"no JSON", "application/json", ``, "6", http.StatusBadRequest},
		{"a malformed form", "application/x-www-form-urlencoded", "a=%zz", "7", http.StatusBadRequest},
		{"a delivery id that is too long", "application/json", `{}`, strings.Repeat("x", 513), http.StatusBadRequest},
		{"as large as can be", "application/json", `"` + strings.Repeat("x", 98) + `"`, "8", http.StatusCreated},
		{"too large", "application/json", `"` + strings.Repeat("x", 99) + `"`, "9", http.StatusRequestEntityTooLarge},
		{"text", "text/plain", `{}`, "10", http.StatusUnsupportedMediaType},
		{"JSON that is in another charset", "application/json; charset=latin1", "\"\xe9\"", "11", http.StatusUnsupportedMediaType},
		{"a form in another charset", "application/x-www-form-urlencoded; charset=latin1", "a=%e9", "13", http.StatusUnsupportedMediaType},
		{"no content type", "", `{}`, "12", http.StatusUnsupportedMediaType},
	} {
		header := signed(t, tt.deliveryID, tt.body)
		header["Content-Type"] = []string{tt.contentType}
		r := b.send(http.MethodPost, "/hooks/sync", tt.body, header)
		require.Equal(t, tt.status, r.StatusCode, "%s: %s", tt.name, r.text)
		if r.StatusCode >= http.StatusBadRequest {
			b.requireProblem(r, tt.status)
		}
	}
}

func TestHandler_ABodyThatBreaksOffIs400(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+"/hooks/async", io.MultiReader(
		strings.NewReader("{"), errReader{}))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()

	b.handler.ServeHTTP(w, r)

	require.Equal(t, http.StatusBadRequest, w.Code)
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestHandler_ARawReceiverTakesAnyBody(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) { rec.Raw = true })
	header := signed(t, "d1", "\xff\x00")
	header.Set("Content-Type", "application/octet-stream")

	require.Equal(t, http.StatusCreated, b.send(http.MethodPost, "/hooks/sync", "\xff\x00", header).StatusCode)

	require.Equal(t, "\xff\x00", string(b.runs[0].Body))
}

func TestEvent_HasWhatCame(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) { rec.RedactHeaders = []string{"x-private"} })
	const body = "a=1&b=%C3%A9&a=2"
	header := signed(t, "d1", body)
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer shown-to-nobody", "Cookie": "s=shown-to-nobody",
		"X-Gitlab-Token": "shown-to-nobody", "Api-Key": "shown-to-nobody", "X-Private": "shown-to-nobody", "X-Github-Event": "push",
	} {
		header.Set(name, value)
	}

	b.send(http.MethodPost, "/hooks/sync", body, header)

	ev := b.runs[0]
	require.Equal(t, body, string(ev.Body))
	require.Equal(t, "push", ev.Header.Get("X-Github-Event"))
	require.Equal(t, header.Get("X-Hub-Signature-256"), ev.Header.Get("X-Hub-Signature-256"), "it can be verified again")
	for _, name := range []string{"Authorization", "Cookie", "X-Gitlab-Token", "Api-Key", "X-Private"} {
		require.Equal(t, []string{"[redacted]"}, ev.Header[name], name)
	}
	form, err := ev.Form()
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, form["a"])
	require.Equal(t, "é", form.Get("b"))
	require.Error(t, ev.JSON(&form))
}

func TestHandler_ABadSignatureIs401(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	header := signed(t, "d1", `{"a":1}`)

	b.requireProblem(b.send(http.MethodPost, "/hooks/async", `{"a":2}`, header), http.StatusUnauthorized)
	header.Del("X-Hub-Signature-256")
	unsigned := b.send(http.MethodPost, "/hooks/async", `{"a":1}`, header)
	b.requireProblem(unsigned, http.StatusUnauthorized)

	require.NotEmpty(t, unsigned.Header.Get("WWW-Authenticate"))
	require.Zero(t, b.ran())
}

func TestHandler_ATokenIsNeitherLoggedNorShownToOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	url, err := b.handler.HookURL("mine", b.ann)
	require.NoError(t, err)
	require.Equal(t, b.server.URL+"/hooks/mine/"+b.ann, url)
	b.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, errors.New("no")
	})

	accepted := b.send(http.MethodPost, url, `{}`, http.Header{"Content-Type": {"application/json"}})
	b.until(self(accepted), http.StatusInternalServerError)
	b.inbox.Close()
	require.Equal(t, http.StatusServiceUnavailable,
		b.send(http.MethodPost, url, `{}`, http.Header{"Content-Type": {"application/json"}}).StatusCode)

	require.Equal(t, "ann", b.runs[0].Owner)
	require.Contains(t, b.log.String(), "could not store an event")
	require.NotContains(t, b.log.String(), b.ann)
	require.Equal(t, "no-referrer", accepted.Header.Get("Referrer-Policy"))
}

func TestHookURL_ADebugURLTakesItsPlace(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)

	url, err := b.handler.HookURL("sync", "")
	require.NoError(t, err)
	require.Equal(t, "https://tunnel.example/", url)
	require.Contains(t, b.log.String(), "debug URL")
	for name, token := range map[string]string{"unknown": "", "mine": "", "async": "a"} {
		_, err = b.handler.HookURL(name, token)
		require.Error(t, err, name)
	}
}

func TestHandler_WhatCouldNotBeStoredIs503(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.inbox.Close()

	r := b.post("sync", "d1", `{}`)

	b.requireProblem(r, http.StatusServiceUnavailable)
	require.Equal(t, "5", r.Header.Get("Retry-After"))
}

func TestHandler_TheSameDeliveryFiftyTimesAtOnceRunsOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"async", "sync"} {
		b := newBundle(t, nil)
		const n = 50
		replies := make([]reply, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() { replies[i] = b.post(name, "d1", `{}`) })
		}
		group.Wait()

		for _, r := range replies {
			require.Contains(t, []int{http.StatusAccepted, http.StatusCreated}, r.StatusCode)
			require.Equal(t, self(replies[0]), self(r), "one event")
		}
		b.until(self(replies[0]), http.StatusCreated)
		require.Equal(t, 1, b.ran())
	}
}
