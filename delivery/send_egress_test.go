package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/subscription"
)

// refuseAll leaves no address open.
func refuseAll(cfg *egress.Config) {
	cfg.DenyCIDRs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// Each path that sends, or writes down where to send, asks the one policy of
// delivery.Config: with one that refuses everything none of them gets through.
func TestEgress_EveryPathThatSendsAsksTheSamePolicy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	tokens := newTokenServer(t)
	twice := func(spec *subscription.Spec) { spec.Schedule = "twice" }
	subs := map[string]uuid.UUID{
		"plain":       b.subscribe(r, twice).ID,
		"with tokens": b.authorized(r, oauth2(tokens.URL)),
		"with TLS settings": b.subscribe(r, func(spec *subscription.Spec) {
			spec.Schedule, spec.TLS.RootCAs = "twice", newAuthority(t).pem()
		}).ID,
	}
	url := r.URL()
	toProve := map[subscription.Verification]uuid.UUID{}
	for _, method := range subscription.Verifications() {
		toProve[method] = b.toProve(fmt.Sprintf("%s/%s", url, method), method).ID
	}
	b.exec(`UPDATE riverhook.endpoint_challenge SET due_at = NULL`) // by nobody but the closed engine

	// What is to be sent again was sent by an engine that may.
	open := b.engine(nil)
	r.Script(slices.Repeat([]deliverytest.Answer{{Status: 500}}, len(subs))...)
	retried := b.enqueue(nil)
	b.drain(open)
	redelivered := b.enqueue(nil)
	b.drain(open)
	sent, asked := 2*len(subs), 1
	require.Len(t, r.Requests(), sent)

	closed := b.engine(func(cfg *delivery.Config) {
		withOrigin(cfg)
		cfg.Egress = b.policy(refuseAll)
	})
	last := func(intentID string, subscription uuid.UUID) string {
		attempts := b.attempts(b.delivery(intentID, subscription).ID)
		return fmt.Sprintf("%d: %s %s", len(attempts), attempts[len(attempts)-1].Outcome, attempts[len(attempts)-1].Error)
	}

	// Creation, and each URL in it.
	_, err := closed.Subscriptions().Create(t.Context(), subscription.Spec{
		URL:    url,
		Events: []string{"**"},
		Owner:  "owner",
	})
	require.ErrorIs(t, err, egress.ErrBlocked)
	_, err = closed.Subscriptions().Create(t.Context(), subscription.Spec{
		URL:         "https://example.com/",
		Events:      []string{"**"},
		Owner:       "owner",
		Credentials: oauth2(tokens.URL),
	})
	require.ErrorIs(t, err, egress.ErrBlocked)

	// Update.
	_, err = closed.Subscriptions().Update(t.Context(), subs["plain"], subscription.Update{URL: &url})
	require.ErrorIs(t, err, egress.ErrBlocked)
	credentials := oauth2(tokens.URL)
	_, err = closed.Subscriptions().Update(t.Context(), subs["plain"], subscription.Update{Credentials: &credentials})
	require.ErrorIs(t, err, egress.ErrBlocked)

	// Pings, that of a new secret among them.
	for name, id := range subs {
		a, _, err := closed.Ping(t.Context(), id, nil)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeBlocked, a.Outcome, name)
		_, err = closed.Subscriptions().RotateSecret(t.Context(), id, &subscription.RotateOpts{Confirm: true})
		require.NoError(t, err)
		a, err = closed.ConfirmSecret(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeBlocked, a.Outcome, name)
	}

	// Challenges, by request and by themselves.
	for method, id := range toProve {
		b.pass(time.Minute)
		a, err := closed.VerifyEndpoint(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeBlocked, a.Outcome, method)
		b.pass(time.Minute)
		b.exec(`UPDATE riverhook.endpoint_challenge SET due_at = CASE WHEN subscription_id = $1 THEN now() END WHERE id IS NOT NULL`, id)
		b.exec(`UPDATE riverhook.subscription SET verification_error = '' WHERE id = $1`, id)
		b.drain(closed)
		require.Equal(t, "blocked: address not allowed", b.subscription(id).VerificationError, method)
	}
	b.exec(`UPDATE riverhook.endpoint_challenge SET due_at = NULL`)

	// First attempts, retries and redeliveries, and the requests for their tokens.
	first := b.enqueue(nil)
	for _, id := range subs {
		require.NoError(t, closed.Redeliver(t.Context(), b.delivery(redelivered, id).ID))
	}
	b.drainAhead(closed, 2*time.Hour)
	for name, id := range subs {
		require.Equal(t, "2: blocked blocked: address not allowed", last(first, id), name)
		require.Equal(t, "2: blocked blocked: address not allowed", last(retried, id), name)
		require.Contains(t, last(redelivered, id), ": blocked blocked: address not allowed", name)
	}

	// Questions.
	for name, id := range subs {
		_, err := b.subs.Update(t.Context(), id, subscription.Update{Events: &[]string{"before:**"}})
		require.NoError(t, err, name)
	}
	answer, err := closed.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.Equal(t, slices.Repeat([]string{"unanswered: blocked: address not allowed"}, len(subs)), said(answer.Gates))

	require.Len(t, r.Requests(), sent)
	require.Equal(t, asked, tokens.asked())
}

func TestEgress_TheReasonOfWhatWasBlockedIsTheOperatorsAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	lines := &log{}
	const name = "http://hooks.example.com/"
	sub := b.point(name, nil)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Resolver = resolver{"10.9.8.7"} })
		cfg.Logger = slog.New(slog.NewJSONHandler(lines, nil))
	})

	id := b.enqueue(nil)
	b.drain(engine)
	attempts, err := engine.History().Attempts(t.Context(), b.delivery(id, sub).ID)
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	pinged, _, err := engine.Ping(t.Context(), sub, nil)
	require.NoError(t, err)

	for _, a := range []delivery.Attempt{attempts[0], *pinged} {
		require.Equal(t, delivery.OutcomeBlocked, a.Outcome)
		require.Equal(t, "blocked: address not allowed", a.Error)
		require.Equal(t, "10.9.8.7 is not open: private", a.Reason)
		text, err := json.Marshal(a)
		require.NoError(t, err)
		require.NotContains(t, string(text), "10.9.8.7", "what is shown to the owner")
	}
	deliveries, err := deliveriesOf(engine.History().Deliveries(t.Context(), nil))
	require.NoError(t, err)
	text, err := json.Marshal(deliveries)
	require.NoError(t, err)
	require.NotContains(t, string(text), "10.9.8.7")
	require.Equal(t, 2, strings.Count(lines.String(), `"detail":"10.9.8.7 is not open: private"`))
}

// connectProxy is a proxy that opens tunnels while up, and otherwise answers by a
// status.
type connectProxy struct {
	*httptest.Server

	status atomic.Int64 // 0: up
	opened atomic.Int64
}

func newConnectProxy(t *testing.T) *connectProxy {
	t.Helper()
	p := &connectProxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := p.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		p.opened.Add(1)
		_, port, _ := net.SplitHostPort(r.Host)
		there, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, buffered)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}))
	t.Cleanup(p.Close)
	return p
}

func TestEgress_AFailureOfTheProxyIsTheOperatorsTrouble(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	proxy := newConnectProxy(t)
	r := b.receiver(nil)
	name := strings.Replace(r.URL(), "127.0.0.1", "hooks.example.com", 1)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.URL, spec.Schedule = name, "hourly" }).ID
	var failing, deactivated atomic.Int64
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Deactivation = subscription.DeactivationRules{
			Attempts:        1,
			Window:          time.Millisecond,
			Exhausted:       1,
			ExhaustedWindow: time.Millisecond,
		}
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Proxy = &egress.Proxy{URL: proxy.URL} })
		cfg.Hooks.SubscriptionFailing = func(context.Context, delivery.SubscriptionEvent) { failing.Add(1) }
		cfg.Hooks.SubscriptionDeactivated = func(context.Context, delivery.SubscriptionEvent) { deactivated.Add(1) }
	})

	proxy.status.Store(407)
	id := b.enqueue(nil)
	for range 8 { // more than a circuit bears
		b.drain(engine)
		b.pass(2 * time.Hour)
		require.NoError(t, engine.Maintain(t.Context()))
	}
	d := b.delivery(id, sub)
	attempts, err := engine.History().Attempts(t.Context(), d.ID)
	require.NoError(t, err)
	require.Len(t, attempts, 8)
	for _, a := range attempts {
		require.Equal(t, delivery.OutcomeProxyFailed, a.Outcome)
		require.Equal(t, "proxy: the egress proxy failed", a.Error, "the owner is not told which proxy there is")
		require.Equal(t, "does not accept the credentials (407)", a.Reason)
	}
	require.Equal(t, []string{"pending", ""}, []string{d.State, d.Hold}, "no circuit has opened")
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
	require.Zero(t, failing.Load()+deactivated.Load())
	require.Equal(t, subscription.StateActive, b.subscription(sub).State)

	proxy.status.Store(0)
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(id, sub).State)
	require.Len(t, r.Requests(), 1)
	require.EqualValues(t, 1, proxy.opened.Load())

	// What a proxy says of the endpoint is the endpoint's.
	proxy.status.Store(502)
	engine = b.engine(func(cfg *delivery.Config) {
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Proxy = &egress.Proxy{URL: proxy.URL} })
	})
	id = b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, "unreachable connect: no connection", b.told(id, sub))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE failed_attempts > 0`))
}

func TestEgress_AProxyThatFailsExhaustsTheScheduleAndCountsAgainstNobody(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	proxy := newConnectProxy(t)
	proxy.status.Store(500)
	r := b.receiver(nil)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone }).ID
	through := func(cfg *delivery.Config) {
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Proxy = &egress.Proxy{URL: proxy.URL} })
	}

	id := b.enqueue(nil)
	b.drain(b.engine(through))
	require.Equal(t, "exhausted", b.delivery(id, sub).State)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
}
