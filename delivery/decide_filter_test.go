package delivery_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// filtered subscribes a receiver of its own with a filter.
func (b *bundle) filtered(expr string) subscription.Subscription {
	b.t.Helper()
	return b.subscribe(b.receiver(nil), func(s *subscription.Spec) { s.Filter, s.Owner = expr, uuid.NewString() })
}

func TestFilter_DecidesWhoHearsAndNobodyIsAskedAboutTheOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	passes := b.filtered(`type == "user.created" && site == "/noaa/nws/oun" && resource.kind == "user" && resource.id == "ada" &&
		actor == "root" && channel == "ops" && active_site == "/noaa" && attributes.tier == "gold" && data.name == "Ada"`)
	keeps := b.filtered(`data.name == "Bob"`)
	fails := b.filtered(`data.total > 100`)
	var asked []string
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, checkers.RegisterDefault(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		asked = append(asked, r.Principal)
		return nil
	})))
	engine := b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = checkers })

	id := b.enqueue(func(in *outbox.Intent) {
		in.Actor = "root"
		in.ActiveSite = "/noaa"
		in.Channel = "ops"
		in.Attributes = map[string]string{"tier": "gold"}
	})
	b.drain(engine)

	require.Equal(t, []string{passes.Owner}, asked)
	require.Len(t, b.deliveries(id), 1)
	require.Equal(t, "delivered", b.delivery(id, passes.ID).State)
	require.Equal(t, map[uuid.UUID][2]string{
		keeps.ID: {"filtered", "the filter is false of it"},
		fails.ID: {"filter_error", "the filter failed: line 1, column 5: no such key"},
	}, b.decisions(id))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE subscription_id <> $1`, passes.ID),
		"a filter is no fault of the endpoint")

	x, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, x.String(), "filter_error: the filter failed: line 1, column 5: no such key")
	require.Contains(t, x.String(), "filtered: the filter is false of it")
}

func TestFilter_OneThatFailedIsRunAgainWithWhatItIsThen(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.filtered(`data.total > 100`)
	engine := b.engine(func(cfg *delivery.Config) { cfg.History.Payloads = event.KeepNothing })
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, "filter_error", b.decisions(id)[sub.ID][0])
	require.Zero(t, b.prune(engine), "what can be run again keeps its payload")

	_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{Filter: new(`data.?total.orValue(0) > 100 || has(data.name)`)})
	require.NoError(t, err)
	n, err := engine.RetryFailed(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.drain(engine)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Empty(t, b.decisions(id))
	require.Equal(t, 1, b.prune(engine).Reduced)
}

func TestFilter_OneThatDoesNotCompileHereHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	other, sub := b.filtered(""), b.filtered("true")
	b.exec(`UPDATE riverhook.subscription SET filter = 'nonsense(' WHERE id = '` + sub.ID.String() + `'`)

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, "delivered", b.delivery(id, other.ID).State)
	decision := b.decisions(id)[sub.ID]
	require.Equal(t, "filter_error", decision[0])
	require.Contains(t, decision[1], "the filter does not compile: line 1, column 10: Syntax error")
}

func TestFilter_OneThatCostsTooMuchFailsAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub, other := b.filtered(`data.list.all(a, data.list.all(b, a == b))`), b.filtered(`data.list.size() == 1000`)

	id := b.enqueue(func(in *outbox.Intent) { in.Data = map[string]any{"list": make([]int, 1000)} })
	b.drain(b.engine(nil))

	require.Equal(t, "delivered", b.delivery(id, other.ID).State)
	require.Equal(t, [2]string{"filter_error", "the filter failed: cost more than 20000"}, b.decisions(id)[sub.ID])
}

func TestFilter_HasTheLimitsOfItsEngine(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := delivery.New(b.pool, &delivery.Config{Sealer: sealer(), Filters: filter.Opts{MaxCost: -1}})
	require.ErrorContains(t, err, "Filters: MaxCost: is -1")
	engine := b.engine(func(cfg *delivery.Config) { cfg.Filters.MaxCost = 10 })

	spec := subscription.Spec{
		URL:    b.receiver(nil).URL(),
		Events: []string{"**"},
		Owner:  "owner",
	}
	for expr, want := range map[string]string{
		`data.exists(n, n == 1)`: "Filter: may cost",
		`knd == "user"`:          "Filter: line 1, column 1: undeclared reference to 'knd'",
	} {
		spec.Filter = expr
		_, err = engine.Subscriptions().Create(t.Context(), spec)
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, subscription.ErrInvalid)
	}

	sub := b.filtered(`data.name.matches("^A")`)
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, [2]string{"filter_error", "the filter failed: cost more than 10"}, b.decisions(id)[sub.ID])
}

func TestFilter_SeesTheDataOfTheIntentWhateverIsSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	before, after := b.filtered(`data.name == "Ada"`), b.filtered(`data.name == "Bob"`)
	externalizers := &delivery.Externalizers{}
	require.NoError(t, externalizers.Register("", "", "", delivery.Externalizer(
		func(context.Context, dialect.Event) ([]byte, error) { return []byte(`{"name": "Bob"}`), nil })))

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Externalize.Registry = externalizers }))

	require.Equal(t, "delivered", b.delivery(id, before.ID).State)
	require.Equal(t, "filtered", b.decisions(id)[after.ID][0])
}

func TestFilter_AGateIsAskedWhatItsOwnIsTrueOf(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	gate := func(expr string, change func(s *subscription.Spec)) {
		b.gate(b.receiver(nil), func(s *subscription.Spec) {
			s.Filter = expr
			if change != nil {
				change(s)
			}
		})
	}
	gate(`type == "before:user.delete" && data.name == "Ada" && actor == "grace"`, failClosed)
	gate(`data.name == "Bob"`, failClosed)
	gate(`data.total > 100`, nil)
	engine := b.engine(nil)

	answer, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.Equal(t, []string{
		"agreed", "not_asked: the filter is false of it", "unanswered: the filter failed: line 1, column 5: no such key",
	}, said(answer.Gates))

	gate(`data.total > 100`, failClosed)
	answer, err = engine.Ask(t.Context(), mayDelete())
	require.ErrorIs(t, err, delivery.ErrUnanswered, "whether it had to be asked is not known")
	require.Len(t, answer.Gates, 4)
}

func TestFilter_ThatOfADeactivatedSubscriptionIsNotAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.filtered(`data.total > 100`)
	_, err := b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, "inactive", b.decisions(id)[sub.ID][0])
}

// The conditions of a subscription, each with what it must be for an intent.
type (
	hears struct {
		events []string
		types  []string // those that it hears, of listened
	}
	passes struct {
		filter  string
		outcome func(total any) string
	}
)

var (
	// order.paid extends money.moved, which extends ledger.changed.
	listened = []string{"order.paid", "order.sent", "money.moved"}

	hearing = []hears{
		{[]string{"**"}, listened},
		{[]string{"order.*"}, []string{"order.paid", "order.sent"}},
		{[]string{"order.paid"}, []string{"order.paid"}},
		{[]string{"money.*"}, []string{"order.paid", "money.moved"}},
		{[]string{"ledger.changed"}, []string{"order.paid", "money.moved"}},
		{[]string{"order.sent", "other.*"}, []string{"order.sent"}},
	}
	channels  = [][]string{nil, {"eu"}, {"EU"}, {"eu", "us"}}
	filtering = []passes{
		{"", func(any) string { return "pending" }},
		{"true", func(any) string { return "pending" }},
		{"false", func(any) string { return "filtered" }},
		{"has(data.total) && data.total > 100", func(total any) string {
			if n, ok := total.(int); ok && n > 100 {
				return "pending"
			}
			return "filtered"
		}},
		{"data.total > 100", func(total any) string {
			n, ok := total.(int)
			switch {
			case !ok:
				return "filter_error"
			case n > 100:
				return "pending"
			}
			return "filtered"
		}},
	}
)

// outcomeOf is the whole rule of who hears of an intent; "" is nothing at all.
func outcomeOf(h hears, listens []string, p passes, eventType, channel string, total any) string {
	if !slices.Contains(h.types, eventType) || len(listens) > 0 && !slices.Contains(listens, channel) {
		return ""
	}
	return p.outcome(total)
}

func (b *bundle) registerUmbrellas() {
	b.t.Helper()
	types, err := outbox.NewEventTypes(b.pool, nil)
	require.NoError(b.t, err)
	for name, umbrella := range map[string]string{"money.moved": "ledger.changed", "order.paid": "money.moved"} {
		require.NoError(b.t, types.Register(b.t.Context(), outbox.EventType{Name: name, Extends: []string{umbrella}}))
	}
}

// outcomesOf is what became of an intent by subscription, deliveries included.
func (b *bundle) outcomesOf(intentID string) map[uuid.UUID]string {
	b.t.Helper()
	got := map[uuid.UUID]string{}
	for id, decision := range b.decisions(intentID) {
		got[id] = decision[0]
	}
	for _, d := range b.deliveries(intentID) {
		got[d.Subscription] = d.State
	}
	return got
}

// All subscriptions are paused, so that deliveries are made and not sent.
func (b *bundle) paused(h hears, listens []string, p passes) uuid.UUID {
	b.t.Helper()
	created, err := b.subs.Create(b.t.Context(), subscription.Spec{
		URL:      "http://127.0.0.1/",
		Owner:    "owner",
		Paused:   true,
		Events:   h.events,
		Channels: listens,
		Filter:   p.filter,
	})
	require.NoError(b.t, err)
	return created.ID
}

func (b *bundle) enqueueOrder(eventType, channel string, total any) string {
	b.t.Helper()
	return b.enqueue(func(in *outbox.Intent) {
		in.Type = eventType
		in.Channel = channel
		in.Data = map[string]any{}
		if total != nil {
			in.Data = map[string]any{"total": total}
		}
	})
}

func TestExpand_TypesUmbrellasChannelsAndFiltersFollowTheirTruthTable(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.registerUmbrellas()
	engine := b.engine(nil)
	wants := map[string]map[uuid.UUID]string{}
	type row struct {
		id uuid.UUID
		h  hears
		c  []string
		p  passes
	}
	var rows []row
	for _, h := range hearing {
		for _, c := range channels {
			for _, p := range filtering {
				rows = append(rows, row{b.paused(h, c, p), h, c, p})
			}
		}
	}
	for _, eventType := range listened {
		for _, channel := range []string{"", "eu", "EU", "us"} {
			for _, total := range []any{nil, 50, 500} {
				want := map[uuid.UUID]string{}
				for _, r := range rows {
					if outcome := outcomeOf(r.h, r.c, r.p, eventType, channel, total); outcome != "" {
						want[r.id] = outcome
					}
				}
				wants[b.enqueueOrder(eventType, channel, total)] = want
			}
		}
	}
	b.drain(engine)
	for id, want := range wants {
		require.Equal(t, want, b.outcomesOf(id), id)
	}
}

func TestExpand_WhoHearsOfWhatIsWhatTheModelSays(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.registerUmbrellas()
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.ChunkSize = 3 })
	rapid.Check(t, func(t *rapid.T) {
		b.exec(`DELETE FROM riverhook.secret; DELETE FROM riverhook.subscription`)
		eventType := rapid.SampledFrom(listened).Draw(t, "type")
		channel := rapid.SampledFrom([]string{"", "eu", "EU", "us"}).Draw(t, "channel")
		total := rapid.SampledFrom([]any{nil, 100, 101, "500"}).Draw(t, "total")
		if total == "500" {
			total = json.RawMessage("500.5")
		}
		want := map[uuid.UUID]string{}
		for range rapid.IntRange(1, 8).Draw(t, "subscriptions") {
			h, c := rapid.SampledFrom(hearing).Draw(t, "events"), rapid.SampledFrom(channels).Draw(t, "channels")
			p := rapid.SampledFrom(filtering).Draw(t, "filter")
			whole := total
			if _, fraction := total.(json.RawMessage); fraction {
				whole = 501
			}
			id := b.paused(h, c, p)
			if outcome := outcomeOf(h, c, p, eventType, channel, whole); outcome != "" {
				want[id] = outcome
			}
		}
		id := b.enqueueOrder(eventType, channel, total)
		b.drain(engine)
		require.Equal(t, want, b.outcomesOf(id))
	})
}

func TestFilter_AHostileOneIsKeptOrRefusedAndStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	quiet := b.filtered("")
	for _, expr := range []string{
		strings.Repeat("(", 2000), `data.name.matches("(a+)+$")`, `data == "'; DROP SCHEMA riverhook CASCADE; --"`,
		`data.map(x, [x, x]).map(x, [x, x]) == []`, `data.name + data.name == ""`,
	} {
		_, err := b.subs.Create(t.Context(), subscription.Spec{
			URL:    "http://127.0.0.1/",
			Events: []string{"**"},
			Owner:  "owner",
			Filter: expr,
		})
		if err != nil {
			require.ErrorContains(t, err, "Filter: ")
		}
	}
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Equal(t, "delivered", b.delivery(id, quiet.ID).State)
	for _, decision := range b.decisions(id) {
		require.Contains(t, []string{"filtered", "filter_error"}, decision[0])
	}
}
