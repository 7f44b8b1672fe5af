package delivery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/hostile"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestEngine_HostileTextGoesTheWholeWayAsItWasWritten(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, nil)
	ids := map[string]string{}
	for name, text := range hostile.Texts() {
		ids[name] = b.enqueue(func(in *outbox.Intent) {
			in.Resource = access.Resource{Kind: kindOf(text), ID: text}
			in.Actor = text
			in.Channel = text
			in.Attributes, in.Data = map[string]string{text: text}, map[string]string{text: text}
		})
	}
	engine := b.engine(nil)
	b.drain(engine)

	history := engine.History()
	for name, text := range hostile.Texts() {
		got := received(receiver, ids[name])
		require.Len(t, got, 1, name)
		var body struct{ Data map[string]string }
		require.NoError(t, json.Unmarshal(got[0].Body, &body), name)
		require.Equal(t, map[string]string{text: text}, body.Data, name)

		in, err := history.Intent(t.Context(), ids[name])
		require.NoError(t, err, name)
		require.Equal(t, []string{text, text, text}, []string{in.Actor, in.Channel, in.ResourceID}, name)
		require.Equal(t, map[string]string{text: text}, in.Attributes, name)
		for _, filter := range []delivery.DeliveryFilter{
			{Channel: text, SubscriptionID: sub.ID}, {ResourceKind: kindOf(text), ResourceID: text},
		} {
			found, err := deliveriesOf(history.Deliveries(t.Context(), &filter))
			require.NoError(t, err, name)
			require.Len(t, found, 1, name)
			require.Equal(t, ids[name], found[0].IntentID, name)
			require.Equal(t, delivery.DeliveryDelivered, found[0].State, name)
		}
		explained, err := history.Explain(t.Context(), ids[name])
		require.NoError(t, err, name)
		require.Len(t, explained.Subscriptions, 1, name)
		require.NotContains(t, explained.Subscriptions[0].Why, "\n", name)
	}
}

func kindOf(text string) string {
	if runes := []rune(text); len(runes) > 128 {
		return string(runes[:128])
	}
	return text
}

func TestHistory_AFilterThatNoRowCanMatchNamesItsField(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	history := engine.History()
	for name, text := range hostile.Impossible() {
		for field, filter := range map[string]delivery.DeliveryFilter{
			"Channel":      {Channel: text},
			"EventType":    {EventType: text},
			"IntentID":     {IntentID: text},
			"Owner":        {Owner: text},
			"ResourceID":   {ResourceKind: "a", ResourceID: text},
			"ResourceKind": {ResourceKind: text},
			"Site":         {Site: hierarchy.Path("/" + text)},
			"State":        {State: delivery.DeliveryState(text)},
			"Under":        {Under: hierarchy.Path("/" + text)},
		} {
			_, err := history.Deliveries(t.Context(), &filter)
			require.ErrorContains(t, err, "delivery: list deliveries: "+field+": ", name)
		}
		_, err := history.Intents(t.Context(), &delivery.IntentFilter{Channel: text})
		require.ErrorContains(t, err, "delivery: list intents: Channel: ", name)
		_, err = history.Intent(t.Context(), text)
		require.ErrorIs(t, err, delivery.ErrNotFound, name)
		_, err = history.Explain(t.Context(), text)
		require.ErrorIs(t, err, delivery.ErrNotFound, name)
		_, err = engine.RetryFailed(t.Context(), text)
		require.ErrorIs(t, err, delivery.ErrNotFound, name)
	}
}

// ownDialect sets headers in each way that a dialect can.
func ownDialect(t *testing.T) dialect.Dialect {
	t.Helper()
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		EventHeaders: map[string]func(dialect.Event) string{
			"X-Own-Actor": func(ev dialect.Event) string { return ev.Actor },
			"X-Own-Event": func(ev dialect.Event) string { return ev.Type },
		},
		Headers: map[string]string{"X-Own-Source": "directory"},
		Name:    "own",
		Signer: dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) {
			return http.Header{"X-Own-Signature": {"signed"}}, nil
		}),
	})
	require.NoError(t, err)
	return d
}

// The rows of this test could not be written through Subscriptions: even so, none
// of what they hold gets onto the wire in place of what the dialect and HTTP set.
func TestSend_HeadersOfASubscriptionReplaceNothingOnTheWire(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	dialects, err := dialect.NewRegistry(dialect.Standard(), ownDialect(t))
	require.NoError(t, err)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Dialects = dialects })
	plain, twisted := b.receiver(nil), b.receiver(nil)
	standardPlain, standardTwisted := b.receiver(nil), b.receiver(nil)
	subscribe := func(spec subscription.Spec, url string) *subscription.Created {
		spec.URL = url
		spec.Events = []string{"**"}
		spec.Owner = "owner"
		created, err := engine.Subscriptions().Create(t.Context(), spec)
		require.NoError(t, err)
		return created
	}
	subscribe(subscription.Spec{Dialect: "own"}, plain.URL())
	own := subscribe(subscription.Spec{Dialect: "own", Headers: map[string]string{"x-own-actor": "evil"}}, twisted.URL())
	require.NoError(t, standardPlain.Trust(subscribe(subscription.Spec{}, standardPlain.URL()).Secret))
	standard := subscribe(subscription.Spec{}, standardTwisted.URL())
	require.NoError(t, standardTwisted.Trust(standard.Secret))
	names := []string{
		"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Expect",
		"Te", "Upgrade", "Proxy-Authorization", "User-Agent", "Idempotency-Key", "X-Idempotency-Key", "Webhook-Id", "Webhook-Timestamp",
		"Webhook-Signature", "X-Own-Actor", "X-Own-Event", "X-Own-Source", "X-Own-Signature",
	}
	evil := map[string]string{"X-Mine": "mine"}
	for _, name := range names {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
			evil[spelled] = "evil"
		}
	}
	text, err := json.Marshal(evil)
	require.NoError(t, err)
	require.Equal(t, 2, b.exec(`UPDATE riverhook.subscription SET headers = $1 WHERE id IN ($2, $3)`, text, own.ID, standard.ID))

	b.enqueue(nil)
	b.drain(engine)

	for _, pair := range [][2]http.Header{
		{oneHeader(t, plain), oneHeader(t, twisted)}, {oneHeader(t, standardPlain), oneHeader(t, standardTwisted)},
	} {
		want, got := pair[0], pair[1]
		for _, perRequest := range []string{"Webhook-Timestamp", "Webhook-Signature"} { // verified by the receiver
			want.Del(perRequest)
			got.Del(perRequest)
		}
		require.Equal(t, "mine", got.Get("X-Mine"))
		for name := range got {
			if want[name] == nil { // what neither the dialect nor HTTP sets
				got.Del(name)
			}
		}
		require.Equal(t, want, got)
	}
	require.Equal(t, "signed", oneHeader(t, twisted).Get("X-Own-Signature"))
	require.Empty(t, oneHeader(t, twisted)["X-Own-Actor"], "the dialect's even where the event leaves it out")
	require.Empty(t, oneHeader(t, twisted)["Idempotency-Key"])
}

// oneHeader is a copy of the header of a receiver's only request.
func oneHeader(t *testing.T, r *deliverytest.Receiver) http.Header {
	t.Helper()
	got := r.Requests()
	require.Len(t, got, 1)
	return got[0].Header.Clone()
}

func TestSend_AHeaderThatInjectsALineIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	engine := b.engine(nil)
	for i, headers := range []string{
		`{"X-A": "hunter2\r\nX-B: 1"}`, `{"X-A": "hunter2\nX-B: 1"}`, `{"X-A\r\nX-B": "hunter2"}`, `{"X-A: 1\r\nX-B": "hunter2"}`,
		`{"X A": "hunter2"}`, `{"": "hunter2"}`, `{"X-A": "hunter2\u0007"}`,
	} {
		eventType := fmt.Sprintf("case.n%d", i)
		sub := b.subscribe(receiver, func(spec *subscription.Spec) {
			spec.Events, spec.Schedule = []string{eventType}, "none"
		})
		b.exec(`UPDATE riverhook.subscription SET headers = $1::text::jsonb WHERE id = $2`, headers, sub.ID)
		id := b.enqueue(func(in *outbox.Intent) { in.Type = eventType })
		b.drain(engine)
		attempts := b.attempts(b.delivery(id, sub.ID).ID)
		require.Len(t, attempts, 1, headers)
		require.Equal(t, "failed", attempts[0].Outcome, headers)
		require.Contains(t, attempts[0].Error, "dialect: ", headers)
		require.NotContains(t, attempts[0].Error, "hunter2")
	}
	require.Empty(t, receiver.Requests())
}

// By the policy of a deployment that has configured nothing.
func TestEgress_ASubscriptionsHostIsJudgedInASCII(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	policy, err := egress.New(nil)
	require.NoError(t, err)
	subs := b.engine(func(cfg *delivery.Config) { cfg.Egress = policy }).Subscriptions()
	create := func(url string) (*subscription.Created, error) {
		return subs.Create(t.Context(), subscription.Spec{
			Events: []string{"**"},
			Owner:  "owner",
			URL:    url,
		})
	}

	created, err := create("https://b\u00fccher.example/hook")
	require.NoError(t, err)
	listed, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Equal(t, []subscription.Subscription{created.Subscription}, listed)
	require.Equal(t, "https://xn--bcher-kva.example/hook", listed[0].URL)

	for _, url := range []string{
		"https://\uff11\uff12\uff17.0.0.1/", "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
		"https://\u2460\u2461\u2466\u3002\u2460/",
		"https://\u0661\u0662\u0667.1/", "https://169\u3002254\u3002169\u3002254/", "https://b%C3%BCcher.example/",
	} {
		_, err := create(url)
		require.ErrorIs(t, err, subscription.ErrInvalid, url)
		require.ErrorContains(t, err, "URL: ", url)
	}
}
