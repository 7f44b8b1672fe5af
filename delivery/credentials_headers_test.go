package delivery_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func TestSealedHeaders_AreSentWithEachAttemptAsTheyAreNow(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: http.StatusInternalServerError})
	sub := b.subscribe(r, func(spec *subscription.Spec) {
		spec.Schedule, spec.Headers = "twice", map[string]string{"X-Open": "open"}
		spec.SecretHeaders = map[string]string{"X-Key": "first", "x-other": "other"}
	})
	update := func(u subscription.Update) {
		_, err := b.subs.Update(t.Context(), sub.ID, u)
		require.NoError(t, err)
	}

	b.enqueue(nil)
	b.drain(engine)
	update(subscription.Update{SecretHeaders: &map[string]string{"X-Key": "second"}})
	b.pass(time.Hour)
	b.drain(engine)
	name := "renamed"
	update(subscription.Update{Name: &name})
	_, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	update(subscription.Update{Headers: &map[string]string{}, SecretHeaders: &map[string]string{}})
	b.enqueue(nil)
	b.drain(engine)

	var got [][3]string
	for _, req := range r.Requests() {
		got = append(got, [3]string{req.Header.Get("X-Open"), req.Header.Get("X-Key"), req.Header.Get("X-Other")})
	}
	require.Equal(t, [][3]string{{"open", "first", "other"}, {"open", "second", ""}, {"open", "second", ""}, {"", "", ""}}, got)
}

func TestSealedHeaders_AreInNoRecordOfRequestsAndAnswers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	lines := &log{}
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r := b.always(deliverytest.Answer{Header: http.Header{"X-Key": {"s3cret"}}}) // it gives back what it was sent
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.SecretHeaders = map[string]string{"x-key": "s3cret"} })

	id := b.enqueue(nil)
	b.drain(engine)
	ping, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)

	attempts, err := engine.History().Attempts(t.Context(), b.delivery(id, sub.ID).ID)
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	for _, a := range append(attempts, *ping) {
		require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
		require.Equal(t, "[redacted]", a.RequestHeaders["X-Key"])
		require.Equal(t, "[redacted]", a.ResponseHeaders["X-Key"])
	}
	require.NotContains(t, lines.String(), "s3cret")
	require.NotContains(t, b.text(`SELECT string_agg(a::text, ' ') FROM riverhook.attempt a`), "s3cret")
}

func TestSealedHeaders_ReplaceNothingOfTheDialects(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	dialects, err := dialect.NewRegistry(ownDialect(t))
	require.NoError(t, err)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Dialects = dialects })
	r := b.receiver(nil)
	_, err = engine.Subscriptions().Create(t.Context(), subscription.Spec{
		URL:           r.URL(),
		Events:        []string{"**"},
		Owner:         "owner",
		Dialect:       "own",
		SecretHeaders: map[string]string{"x_own_source": "evil", "X-Own-Actor": "evil", "X-Mine": "mine"},
	})
	require.NoError(t, err)

	b.enqueue(nil)
	b.drain(engine)

	got := oneHeader(t, r)
	require.Equal(t, "mine", got.Get("X-Mine"))
	for name, values := range got {
		require.NotContains(t, values, "evil", name)
	}
}
