package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// explained returns what an explanation says, by the names of subscriptions.
func explained(x *delivery.Explanation) map[string]delivery.Explained {
	out := map[string]delivery.Explained{}
	for _, s := range x.Subscriptions {
		out[s.Name] = s
	}
	return out
}

func TestExplain_TellsOfEverySubscriptionThatWasConsidered(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ok, broken := b.receiver(nil), b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Status: 503}
	}})
	add := func(name string, r *deliverytest.Receiver, change func(s *subscription.Spec)) subscription.Subscription {
		return b.subscribe(r, func(s *subscription.Spec) {
			s.Name, s.Schedule = name, "twice"
			if change != nil {
				change(s)
			}
		})
	}
	delivered := add("delivered", ok, func(s *subscription.Spec) {
		s.Site = "/noaa"
		s.Events = []string{"office.*", "user.*"}
		s.Channels = []string{"ops", "dev"}
	})
	_, err := b.subs.Create(t.Context(), subscription.Spec{
		Name:     "operator",
		URL:      b.receiver(nil).URL(),
		Events:   []string{"**"},
		Operator: true,
		Dialect:  "plain",
	})
	require.NoError(t, err)
	add("active site", ok, func(s *subscription.Spec) { s.Site = "/noaa/hq" })
	add("failing", broken, nil)
	add("exhausted", broken, func(s *subscription.Spec) { s.Schedule = "none" })
	add("paused", ok, func(s *subscription.Spec) { s.Paused = true })
	inactive := add("inactive", ok, nil)
	_, err = b.subs.Deactivate(t.Context(), inactive.ID, "moved away")
	require.NoError(t, err)
	add("denied", ok, func(s *subscription.Spec) { s.Owner = "mallory" })
	add("unresolvable", ok, func(s *subscription.Spec) { s.Owner = "ghost" })
	add("waiting", ok, func(s *subscription.Spec) { s.Owner = "newcomer" })
	add("other type", ok, func(s *subscription.Spec) { s.Events = []string{"user.deleted", "office.*"} })
	add("other channel", ok, func(s *subscription.Spec) { s.Channels = []string{"finance"} })
	add("sibling", ok, func(s *subscription.Spec) { s.Site = "/noaa/nws/ama" })
	add("below", ok, func(s *subscription.Spec) { s.Site = "/noaa/nws/oun/desk" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{
			"owner": nil, "mallory": access.ErrDenied, "newcomer": errors.New("the directory is down"),
		})
	})
	id := b.enqueue(func(in *outbox.Intent) { in.Channel, in.ActiveSite = "ops", "/noaa/hq" })
	b.drain(engine)
	add("too late", ok, nil)

	x, err := engine.Explain(t.Context(), id)

	require.NoError(t, err)
	require.Equal(t, id, x.Intent.ID)
	require.False(t, x.Truncated)
	require.Equal(t, []hierarchy.Path{"/noaa/nws/oun", "/noaa/nws", "/noaa", "/", "/noaa/hq"}, func() (sites []hierarchy.Path) {
		for _, s := range x.Sites {
			sites = append(sites, s.Site)
		}
		return sites
	}())
	got := explained(x)
	require.Len(t, got, 13)
	for name, want := range map[string]struct {
		outcome delivery.DecisionOutcome
		live    bool
		why     []string
	}{
		"active site": {delivery.DecisionDelivered, false, []string{`at the active site "/noaa/hq"`}},
		"delivered": {delivery.DecisionDelivered, false, []string{
			`at "/noaa", above the resource's site`, `"user.*"`, `channel "ops"`, `owner "owner" may view`, `dialect "standard"`,
			"delivered at attempt 1 (204)",
		}},
		"denied":        {delivery.DecisionDenied, false, []string{`"mallory" may not view the resource`}},
		"exhausted":     {delivery.DecisionExhausted, false, []string{"exhausted after 1 attempt, the last throttled (503)"}},
		"failing":       {delivery.DecisionPending, false, []string{"1 attempt, the last throttled (503)", "due at "}},
		"inactive":      {delivery.DecisionInactive, false, []string{"moved away"}},
		"operator":      {delivery.DecisionDelivered, false, []string{"nobody is asked", `dialect "plain"`}},
		"other channel": {delivery.DecisionNotMatched, true, []string{`hears only the channels "finance", not "ops"`}},
		"other type":    {delivery.DecisionNotMatched, true, []string{`hears "user.deleted", "office.*", not user.created`}},
		"paused":        {delivery.DecisionPending, false, []string{"held (paused), 0 attempts"}},
		"too late":      {delivery.DecisionNotMatched, true, []string{"after the expansion"}},
		"unresolvable":  {delivery.DecisionUnresolvable, false, []string{`there is no principal "ghost"`}},
		"waiting":       {delivery.DecisionWaiting, false, []string{"the directory is down", "held for check:user since "}},
	} {
		require.Contains(t, got, name)
		require.Equal(t, want.outcome, got[name].Outcome, name)
		require.Equal(t, want.live, got[name].Live, name)
		for _, words := range want.why {
			require.Contains(t, got[name].Why, words, name)
		}
		require.Contains(t, x.String(), got[name].Why)
	}
	require.Equal(t, delivered.ID, got["delivered"].SubscriptionID)
	require.Equal(t, b.delivery(id, delivered.ID).ID, *got["delivered"].DeliveryID)
	require.Equal(t, hierarchy.Path("/noaa"), got["delivered"].MatchedSite)
	require.Equal(t, 1, got["failing"].Attempts)
	require.WithinDuration(t, time.Now().Add(time.Hour), *got["failing"].DueAt, time.Minute)
	require.Equal(t, delivery.HoldPaused, got["paused"].Hold)
	require.Nil(t, got["waiting"].DueAt)
	require.Equal(t, delivery.Cause{Kind: "check", Name: "user"}, *got["waiting"].Cause)
	require.Nil(t, got["denied"].DeliveryID)
	require.Contains(t, x.String(), `user.created of user:ada at /noaa/nws/oun, from /noaa/hq, on channel "ops": expanded`)

	text, err := json.Marshal(x)
	require.NoError(t, err)
	require.Contains(t, string(text), `"outcome":"not_matched"`)
}

func TestExplain_SaysHowFarAnExpansionCame(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(b.receiver(nil), func(s *subscription.Spec) { s.Channels = []string{"ops"} })
	id := b.enqueue(func(in *outbox.Intent) { in.Channel, in.Resource = "ops", access.Resource{} })
	unheard := b.enqueue(nil)
	h := b.reader()
	judged := func(id string) delivery.Explained {
		x, err := h.Explain(t.Context(), id)
		require.NoError(t, err)
		require.Len(t, x.Subscriptions, 1)
		require.True(t, x.Subscriptions[0].Live)
		require.Contains(t, x.String(), sub.ID.String())
		return x.Subscriptions[0]
	}

	require.Contains(t, judged(unheard).Why, `hears only the channels "ops"; the intent is on none`)
	require.Equal(t, delivery.DecisionNotExpanded, judged(id).Outcome)
	b.exec(`UPDATE riverhook.intent_state SET state = 'failed', reason = 'no tree', ended_at = now()`)
	require.Equal(t, delivery.DecisionFailed, judged(id).Outcome)
	b.exec(`UPDATE riverhook.intent_state SET state = 'cancelled'`)
	require.Equal(t, delivery.DecisionCancelled, judged(id).Outcome)
	b.exec(`UPDATE riverhook.intent_state SET state = 'expanded'`)
	require.Contains(t, judged(id).Why, "nothing is recorded any more")
	b.exec(`UPDATE riverhook.subscription SET updated_at = now() + interval '1 s'`)
	require.Contains(t, judged(id).Why, "matches as it is since")
}

func TestExplain_IsBounded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	recorded := b.subscribe(receiver, nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	for range 101 {
		b.subscribe(receiver, func(s *subscription.Spec) { s.Events = []string{"office.closed"} })
	}

	x, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.True(t, x.Truncated)
	require.Len(t, x.Subscriptions, 101)
	require.Equal(t, recorded.ID, x.Subscriptions[0].SubscriptionID)
	require.Contains(t, x.String(), "and more subscriptions")

	b.exec(`INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		SELECT gen_random_uuid(), '/', 'https://example.com', '{**}', true, 'plain' FROM generate_series(1, 1001)`)
	b.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site)
		SELECT (SELECT id FROM riverhook.intent), id, 'denied', '/' FROM riverhook.subscription WHERE url = 'https://example.com'`)
	x, err = engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.True(t, x.Truncated)
	require.Len(t, x.Subscriptions, 1000)
}

func TestExplain_TellsWhatWasRecordedThoughTheTreeFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.subscribe(receiver, func(s *subscription.Spec) { s.Events = []string{"office.closed"} })
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	h, err := delivery.NewHistory(b.pool, &delivery.HistoryConfig{
		Tree: treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) {
			return nil, errors.New("the tree is down")
		}),
	})
	require.NoError(t, err)

	x, err := h.Explain(t.Context(), id)

	require.NoError(t, err)
	require.Contains(t, x.SitesError, "the tree is down")
	require.Contains(t, x.String(), "the tree is down")
	require.Len(t, x.Subscriptions, 1)
	require.Contains(t, x.Subscriptions[0].Why, `matched at "/", which counted then`)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Explain(cancelled, id)
	require.ErrorIs(t, err, context.Canceled)
}

func TestExplain_CountsEveryRound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(id)[0].ID))
	b.drain(engine)

	x, err := engine.Explain(t.Context(), id)

	require.NoError(t, err)
	require.Equal(t, 2, x.Subscriptions[0].Attempts)
	require.Contains(t, x.Subscriptions[0].Why, "at attempt 2 (204), in round 2")
	require.NotEqual(t, uuid.Nil, *x.Subscriptions[0].DeliveryID)
}
