package delivery_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/subscription"
)

const senderName = "hooks.example.com"

// withOrigin lets an engine ask by each method.
func withOrigin(cfg *delivery.Config) { cfg.Verification.Origin = senderName }

// proving is an endpoint that proves whatever it is asked, unless answer is set.
type proving struct {
	*httptest.Server

	answer http.HandlerFunc // for challenges and deliveries alike

	mu       sync.Mutex
	requests []deliverytest.Request
}

func newProving(t *testing.T, answer http.HandlerFunc) *proving {
	t.Helper()
	p := &proving{answer: answer}
	if answer == nil {
		p.answer = receiver.AnswerChallenges(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		p.mu.Lock()
		p.requests = append(p.requests, deliverytest.Request{
			At:     time.Now(),
			Body:   body,
			Header: r.Header,
			Method: r.Method,
			Path:   r.URL.RequestURI(),
		})
		p.mu.Unlock()
		p.answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// asked returns what came so far, challenges and deliveries.
func (p *proving) asked() []deliverytest.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// toProve subscribes a URL that must be proven by a method.
func (b *bundle) toProve(url string, method subscription.Verification) *subscription.Created {
	b.t.Helper()
	created, err := b.engine(withOrigin).Subscriptions().Create(b.t.Context(), subscription.Spec{
		URL:          url,
		Events:       []string{"**"},
		Owner:        "owner",
		Schedule:     "soon",
		Verification: method,
	})
	require.NoError(b.t, err)
	return created
}

func TestVerify_AnEndpointProvesByEachMethodAndThenGetsDeliveries(t *testing.T) {
	t.Parallel()
	nonce := regexp.MustCompile(`^[0-9a-f]{64}$`)
	seen := sync.Map{}
	fresh := func(t *testing.T, s string) {
		t.Helper()
		require.Regexp(t, nonce, s)
		_, again := seen.LoadOrStore(s, true)
		require.False(t, again)
	}
	for method, check := range map[subscription.Verification]func(t *testing.T, req deliverytest.Request, secret dialect.Secret){
		subscription.VerificationChallenge: func(t *testing.T, req deliverytest.Request, secret dialect.Secret) {
			t.Helper()
			require.Equal(t, []string{"POST", "/hook?a=b", "application/json"}, []string{req.Method, req.Path, req.Header.Get("Content-Type")})
			found := regexp.MustCompile(`^\{"challenge":"(.*)","type":"riverhook.challenge"\}$`).FindSubmatch(req.Body)
			require.NotNil(t, found, string(req.Body))
			fresh(t, string(found[1]))
			require.NoError(t, dialect.StandardVerifier(nil).Verify(req.Header, req.Body, []dialect.Secret{secret}, req.At))
		},
		subscription.VerificationRESTHooks: func(t *testing.T, req deliverytest.Request, secret dialect.Secret) {
			t.Helper()
			require.Equal(t, []string{"POST", "/hook?a=b"}, []string{req.Method, req.Path})
			fresh(t, req.Header.Get("X-Hook-Secret"))
			require.JSONEq(t, `{"type":"riverhook.challenge"}`, string(req.Body))
			require.NoError(t, dialect.StandardVerifier(nil).Verify(req.Header, req.Body, []dialect.Secret{secret}, req.At))
		},
		subscription.VerificationEcho: func(t *testing.T, req deliverytest.Request, _ dialect.Secret) {
			t.Helper()
			value, ok := strings.CutPrefix(req.Path, "/hook?a=b&echo=")
			require.True(t, ok, req.Path)
			fresh(t, value)
			require.Equal(t, []string{"GET", "application/json"}, []string{req.Method, req.Header.Get("Accept")})
		},
		subscription.VerificationCloudEvents: func(t *testing.T, req deliverytest.Request, _ dialect.Secret) {
			t.Helper()
			require.Equal(t, []string{"OPTIONS", "/hook?a=b"}, []string{req.Method, req.Path})
			require.Equal(t, senderName, req.Header.Get("Webhook-Request-Origin"))
		},
	} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(withOrigin)
			p := newProving(t, nil)
			sub := b.toProve(p.URL+"/hook?a=b", method)
			require.Equal(t, subscription.StatePendingVerification, sub.State)
			secret, err := dialect.ParseSecret(sub.Secret.Reveal())
			require.NoError(t, err)

			b.drain(engine)
			id := b.enqueue(nil)
			b.drain(engine)
			asked := p.asked()
			require.Len(t, asked, 2)
			check(t, asked[0], secret)
			require.NotContains(t, fmt.Sprint(asked), sub.Secret.Reveal())
			require.NotContains(t, fmt.Sprint(asked), strings.TrimPrefix(sub.Secret.Reveal(), "whsec_"))
			require.Equal(t, dialect.DefaultUserAgent, asked[0].Header.Get("User-Agent"))
			require.Equal(t, senderName, asked[1].Header.Get("Webhook-Request-Origin"), "each delivery names the sender as well")
			got := b.subscription(sub.ID)
			require.Equal(t, subscription.StateActive, got.State)
			require.NotNil(t, got.VerifiedAt)
			require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
		})
	}
}

func TestVerify_WhatHappensBeforeTheProofIsInactive(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Verification.Schedule.Delays = []time.Duration{} })

	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, [2]string{
		"inactive", "the subscription's URL is not verified: it is asked no more: the endpoint answered 404",
	}, b.decisions(id)[sub.ID])
	require.Empty(t, b.deliveries(id))
	require.Len(t, p.asked(), 1, "the challenge")

	// What was sent before is not sent again.
	require.NoError(t, b.subs.MarkVerified(t.Context(), sub.ID, p.URL))
	id = b.enqueue(nil)
	b.drainAhead(engine, time.Hour)
	require.Equal(t, "exhausted", b.delivery(id, sub.ID).State)
	sent := len(p.asked())
	_, err := b.subs.Deactivate(t.Context(), sub.ID, "")
	require.NoError(t, err)
	_, err = b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: new(p.URL + "/other")})
	require.NoError(t, err)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.ErrorIs(t, engine.Redeliver(t.Context(), b.delivery(id, sub.ID).ID), delivery.ErrSubscriptionUnverified)
	_, err = engine.Recover(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrSubscriptionUnverified)
	require.Len(t, p.asked(), sent)
}

func TestVerify_AnAnswerThatProvesNothingIsSaidSo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const unproven = "proof: the answer does not prove that the endpoint wants requests"
	ok := func(header, value, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set(header, value)
			}
			_, _ = io.WriteString(w, body)
		}
	}
	for name, try := range map[string]struct {
		method subscription.Verification
		answer http.HandlerFunc
		want   string
	}{
		"nothing":          {subscription.VerificationChallenge, ok("", "", ""), unproven},
		"another":          {subscription.VerificationChallenge, ok("", "", `{"challenge":"00"}`), unproven},
		"a number":         {subscription.VerificationChallenge, ok("", "", `{"challenge":7}`), unproven},
		"what is not JSON": {subscription.VerificationEcho, ok("", "", "<html>"), unproven},
		"no echo":          {subscription.VerificationEcho, ok("", "", `{"echo":""}`), unproven},
		"another origin":   {subscription.VerificationCloudEvents, ok("WebHook-Allowed-Origin", "other.example.com", ""), unproven},
		"no origin":        {subscription.VerificationCloudEvents, ok("Allow", "POST, OPTIONS", ""), unproven},
		"another secret":   {subscription.VerificationRESTHooks, ok("X-Hook-Secret", "00", ""), unproven},
		"all and a redirect": {subscription.VerificationCloudEvents, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Webhook-Allowed-Origin", "*")
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, "the endpoint answered 302"},
		"a proof with 400": {subscription.VerificationRESTHooks, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Hook-Secret", r.Header.Get("X-Hook-Secret"))
			w.WriteHeader(http.StatusBadRequest)
		}, "the endpoint answered 400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProving(t, try.answer)
			sub := b.toProve(p.URL, try.method)
			a, err := b.engine(withOrigin).VerifyEndpoint(t.Context(), sub.ID)
			require.NoError(t, err)
			require.NotEqual(t, delivery.OutcomeDelivered, a.Outcome)
			got := b.subscription(sub.ID)
			require.Equal(t, subscription.StatePendingVerification, got.State)
			require.Equal(t, try.want, got.VerificationError)
			require.Nil(t, got.VerifiedAt)
			require.Len(t, p.asked(), 1, "redirects are not followed")
		})
	}
}

// The challenge of another host carries neither the credentials nor the headers that
// are sealed for the one in force.
func TestVerify_ANewURLIsAskedWhileTheFormerOneIsInForce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	from, to := newProving(t, nil), newProving(t, nil)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:           from.URL,
		Events:        []string{"**"},
		Owner:         "owner",
		Verification:  subscription.VerificationChallenge,
		Credentials:   subscription.Credentials{Bearer: "hunter2"},
		SecretHeaders: map[string]string{"X-Key": "hunter3"},
	})
	require.NoError(t, err)
	b.drain(engine)
	_, err = b.subs.Update(t.Context(), created.ID, subscription.Update{URL: &to.URL})
	require.NoError(t, err)
	_, _, err = engine.Ping(t.Context(), created.ID, nil)
	require.NoError(t, err)
	b.pass(time.Minute)
	b.drain(engine)
	b.enqueue(nil)
	b.drain(engine)

	require.Len(t, from.asked(), 2, "the first challenge and the ping")
	for _, req := range from.asked() {
		require.Equal(t, []string{"Bearer hunter2", "hunter3"}, []string{req.Header.Get("Authorization"), req.Header.Get("X-Key")})
	}
	require.Len(t, to.asked(), 2, "the challenge, and the delivery")
	for _, req := range to.asked() {
		require.Empty(t, req.Header.Get("Authorization")+req.Header.Get("X-Key"))
	}
	require.Equal(t, to.URL, b.subscription(created.ID).URL)
}

func TestVerify_TheProofOfAURLThatWasReplacedChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	home := newProving(t, nil)
	sub := b.toProve(home.URL, subscription.VerificationEcho)
	b.drain(engine)
	change := func(url string) {
		_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: &url})
		require.NoError(t, err)
	}
	for name, meanwhile := range map[string]string{"another": home.URL + "/other", "the former": home.URL} {
		slow := newProving(t, func(w http.ResponseWriter, r *http.Request) {
			change(meanwhile)
			receiver.AnswerChallenges(http.NotFoundHandler()).ServeHTTP(w, r)
		})
		b.pass(time.Minute)
		change(slow.URL)
		_, err := engine.VerifyEndpoint(t.Context(), sub.ID)
		require.ErrorIs(t, err, delivery.ErrNotFound, name)
		require.Len(t, slow.asked(), 1)
		got := b.subscription(sub.ID)
		require.Equal(t, home.URL, got.URL, name)
		require.Equal(t, meanwhile, got.URL+strings.TrimPrefix(got.PendingURL, got.URL), name)
	}

	// And the other way around: what was replaced cannot spoil its successor.
	b.pass(time.Minute)
	broken := newProving(t, func(w http.ResponseWriter, _ *http.Request) {
		change(home.URL + "/next")
		w.WriteHeader(http.StatusInternalServerError)
	})
	change(broken.URL)
	_, err := engine.VerifyEndpoint(t.Context(), sub.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	require.Empty(t, b.subscription(sub.ID).VerificationError)
	b.pass(time.Minute)
	b.drain(engine)
	require.Equal(t, home.URL+"/next", b.subscription(sub.ID).URL)
}

func TestVerify_TwoEnginesAskEachEndpointOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const n = 20
	endpoints := make([]*proving, n)
	for i := range endpoints {
		endpoints[i] = newProving(t, nil)
		b.toProve(endpoints[i].URL, subscription.VerificationChallenge)
	}
	var both sync.WaitGroup
	for range 2 {
		engine := b.engine(nil)
		both.Go(func() { b.drain(engine) })
	}
	both.Wait()
	for _, p := range endpoints {
		require.Len(t, p.asked(), 1)
	}
	require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.subscription WHERE state = 'active'`))
}

func TestVerify_AProcessThatCannotAskUsesUpNoTry(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, receiver.AnswerChallenges(http.NotFoundHandler()).ServeHTTP)
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	without, err := dialect.NewRegistry(dialect.Plain())
	require.NoError(t, err)
	_, err = b.engine(func(cfg *delivery.Config) { cfg.Dialects = without }).VerifyEndpoint(t.Context(), sub.ID)
	require.ErrorContains(t, err, "dialect")
	require.Zero(t, b.count(`SELECT tries FROM riverhook.endpoint_challenge WHERE subscription_id = $1`, sub.ID))
	b.pass(time.Hour)
	b.drain(b.engine(nil))
	require.Equal(t, subscription.StateActive, b.subscription(sub.ID).State)
}

// Each question is counted before it is asked, so that one that ends its process ends too.
func TestVerify_AChallengeEndsItsProcess(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	b.exec(`UPDATE riverhook.endpoint_challenge SET tries = 10`) // 2 more than the schedule has, without an answer

	b.drain(b.engine(nil))

	require.Empty(t, p.asked())
	require.Equal(t, "it is asked no more: the process ended each time", b.subscription(sub.ID).StateReason)
}

func TestVerify_AnEndpointIsAskedSoOftenAndThenTheStateSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var proves atomic.Bool
	yes := receiver.AnswerChallenges(http.NotFoundHandler())
	p := newProving(t, func(w http.ResponseWriter, r *http.Request) {
		if proves.Load() {
			yes.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	engine := b.engine(nil)
	for try := 1; try <= 8; try++ {
		got := b.subscription(sub.ID)
		require.Empty(t, got.StateReason)
		b.drain(engine)
		require.Len(t, p.asked(), try)
		b.pass(18 * time.Hour)
	}
	b.drain(engine)
	require.Len(t, p.asked(), 8, "and no more by itself")
	got := b.subscription(sub.ID)
	require.Equal(t, "it is asked no more: the endpoint answered 503", got.StateReason)
	require.Equal(t, subscription.StatePendingVerification, got.State)

	// A person asks, and the schedule begins anew.
	a, err := engine.VerifyEndpoint(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeThrottled, a.Outcome)
	require.Empty(t, b.subscription(sub.ID).StateReason)
	proves.Store(true)
	b.pass(time.Hour)
	b.drain(engine)
	require.Len(t, p.asked(), 10)
	got = b.subscription(sub.ID)
	require.Equal(t, []any{subscription.StateActive, "", ""}, []any{got.State, got.StateReason, got.VerificationError})
	_, err = engine.VerifyEndpoint(t.Context(), sub.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	_, err = engine.VerifyEndpoint(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

// Whatever a user does, an endpoint and a host are asked no faster than they should be.
func TestVerify_NobodyHasAnEndpointAskedOften(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	home := newProving(t, nil)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Verification.Interval = time.Hour })
	sub := b.toProve(home.URL, subscription.VerificationEcho)
	b.drain(engine)
	b.pass(2 * time.Hour)
	for i := range 5 {
		for _, url := range []string{home.URL, p.URL + "/" + strings.Repeat("x", i)} { // dropped, and given again
			_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: &url})
			require.NoError(t, err)
		}
		b.drain(engine)
		b.pass(time.Minute) // its host could be asked again
		_, err := engine.VerifyEndpoint(t.Context(), sub.ID)
		require.ErrorIs(t, err, delivery.ErrVerificationThrottled)
	}
	require.Len(t, p.asked(), 1, "one in an hour for a subscription")

	// A host, whoever subscribes it.
	asked := func(at string) {
		b.exec(`UPDATE riverhook.challenged_host SET asked_at = now() + $1::text::interval`, at)
	}
	asked("30 minutes")
	var others []*subscription.Created
	for range 5 {
		others = append(others, b.toProve(p.URL, subscription.VerificationEcho))
	}
	b.drain(engine)
	_, err := engine.VerifyEndpoint(t.Context(), others[0].ID)
	require.ErrorIs(t, err, delivery.ErrVerificationThrottled)
	require.Len(t, p.asked(), 1)
	b.pass(time.Minute)
	asked("-1 hour")
	_, err = b.pool.Exec(t.Context(), `UPDATE riverhook.endpoint_challenge SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL`)
	require.NoError(t, err)
	b.drain(engine)
	require.Len(t, p.asked(), 2, "one of them")

	b.pass(2 * time.Hour)
	_, err = engine.Prune(t.Context())
	require.NoError(t, err)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.challenged_host`))
}

func TestVerify_OneThatIsPausedOrDeactivatedIsAskedWhenItIsActivated(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	for name, stop := range map[string]func(id uuid.UUID) error{
		"paused": func(id uuid.UUID) error { _, err := b.subs.Pause(t.Context(), id); return err },
		"deactivated": func(id uuid.UUID) error {
			_, err := b.subs.Deactivate(t.Context(), id, "")
			return err
		},
		"deleted": func(id uuid.UUID) error { return b.subs.Delete(t.Context(), id) },
	} {
		p := newProving(t, nil)
		sub := b.toProve(p.URL, subscription.VerificationChallenge)
		require.NoError(t, stop(sub.ID))
		b.drain(engine)
		require.Empty(t, p.asked(), name)
		if name == "deleted" {
			continue
		}
		id := b.enqueue(nil)
		b.drain(engine)
		_, err := b.subs.Activate(t.Context(), sub.ID, nil)
		require.NoError(t, err)
		require.Equal(t, subscription.StatePendingVerification, b.subscription(sub.ID).State, name)
		b.drain(engine)
		b.drain(engine)
		require.Equal(t, subscription.StateActive, b.subscription(sub.ID).State, name)
		if name == "paused" {
			require.Equal(t, "delivered", b.delivery(id, sub.ID).State, "it was held until then")
		}
	}
}

func TestVerify_AProofThatWasNotRecordedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, nil)
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	dies := b.engine(nil)
	dies.OnPoint(func(point string) {
		if point == delivery.PointAnswered {
			runtime.Goexit() // as in a process that was killed, nothing more happens
		}
	})
	b.drain(dies)
	require.Len(t, p.asked(), 1)
	require.Equal(t, subscription.StatePendingVerification, b.subscription(sub.ID).State)

	engine := b.engine(nil)
	b.pass(30 * time.Second)
	b.drain(engine)
	_, err := engine.VerifyEndpoint(t.Context(), sub.ID)
	require.ErrorIs(t, err, delivery.ErrVerificationThrottled)
	require.Len(t, p.asked(), 1, "it may be asking still")
	b.pass(2 * time.Minute)
	b.drain(engine)
	require.Len(t, p.asked(), 2)
	require.Equal(t, subscription.StateActive, b.subscription(sub.ID).State)
}

func TestVerify_NoConnectionIsHeldWhileAnEndpointIsAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	cfg := b.pool.Config()
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	var pinged atomic.Bool
	p := newProving(t, func(w http.ResponseWriter, r *http.Request) {
		pinged.Store(pool.Ping(r.Context()) == nil)
		receiver.AnswerChallenges(http.NotFoundHandler()).ServeHTTP(w, r)
	})
	sub := b.toProve(p.URL, subscription.VerificationChallenge)
	one := b.cfg
	engine, err := delivery.New(pool, &one)
	require.NoError(t, err)
	a, err := engine.VerifyEndpoint(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	require.True(t, pinged.Load())
}

func TestVerify_AnEngineAsksByItselfAndSaysSoInTheLog(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var lines log
	hangs := newProving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	b.toProve(hangs.URL, subscription.VerificationChallenge)
	p := newProving(t, nil)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		cfg.Maintenance.Interval = 10 * time.Millisecond
	})
	require.NoError(t, engine.Start(t.Context()))
	b.eventually(func() bool { return len(hangs.asked()) == 1 })
	sub := b.toProve(p.URL+"/?token=hunter2", subscription.VerificationEcho)

	b.eventually(func() bool { return b.subscription(sub.ID).State == subscription.StateActive })

	require.NoError(t, engine.Stop(t.Context()), "and does not wait for one that hangs")
	require.Contains(t, lines.String(), fmt.Sprintf(`msg="riverhook: challenge" subscription=%s host=%s proven=true try=1`,
		sub.ID, strings.TrimPrefix(p.URL, "http://")))
	require.NotContains(t, lines.String(), "hunter2")
}

func TestVerify_AnEngineKnowsTheMethodsThatItCanAskBy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	spec := subscription.Spec{
		URL:          "https://example.com/",
		Events:       []string{"**"},
		Operator:     true,
		Verification: subscription.VerificationCloudEvents,
	}
	_, err := b.engine(nil).Subscriptions().Create(t.Context(), spec)
	require.ErrorContains(t, err, `Verification: "cloudevents" is not known`)
	required := b.engine(func(cfg *delivery.Config) { cfg.Verification.Require = subscription.VerificationEcho })
	spec.Verification = ""
	created, err := required.Subscriptions().Create(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, subscription.VerificationEcho, created.Verification)
	for _, rules := range []delivery.VerificationRules{
		{Interval: time.Microsecond},
		{Origin: "https://a.example"},
		{Require: "telepathy"},
		{Require: subscription.VerificationCloudEvents},
		{Schedule: delivery.Schedule{Delays: []time.Duration{-1}}},
	} {
		_, err := delivery.New(b.pool, &delivery.Config{Sealer: sealer(), Verification: rules})
		require.ErrorContains(t, err, "delivery: config: Verification.")
	}
}

func TestVerify_AGateThatIsNotVerifiedIsNotAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	engine := b.engine(nil)
	gate, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:          p.URL,
		Events:       []string{"before:user.delete"},
		Operator:     true,
		Verification: subscription.VerificationEcho,
	})
	require.NoError(t, err)

	answer, err := engine.Ask(t.Context(), delivery.Question{Type: "user.delete", Data: map[string]string{"id": "ada"}})

	require.NoError(t, err)
	require.Empty(t, p.asked())
	require.Equal(t, [2]string{"inactive", "the subscription's URL is not verified"}, b.decisions(answer.ID)[gate.ID])
}
