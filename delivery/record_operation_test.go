package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/subscription"
)

// operations subscribes an operator's receiver at "/" to all of Riverhook's own
// events.
func (b *bundle) operations(r *deliverytest.Receiver) subscription.Subscription {
	b.t.Helper()
	return b.subscribe(r, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Events, spec.Schedule = []string{"riverhook.**"}, delivery.ScheduleNone
	})
}

// heard are the events that a receiver got, in the standard dialect.
func heard(t *testing.T, r *deliverytest.Receiver) (types []string, data []map[string]any) {
	t.Helper()
	for _, req := range r.Requests() {
		var msg struct {
			Type string         `json:"type"`
			Data map[string]any `json:"data"`
		}
		require.NoError(t, json.Unmarshal(req.Body, &msg))
		types, data = append(types, msg.Type), append(data, msg.Data)
	}
	return types, data
}

// reserved counts the intents that the engine has written itself.
func (b *bundle) reserved() int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM riverhook.intent WHERE type LIKE 'riverhook.%'`)
}

func TestOperations_OperatorsHearWhatBecomesOfSubscriptions(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	operator := b.receiver(nil)
	b.operations(operator)
	r := b.always(deliverytest.Answer{Status: 400})
	sub := b.subscribe(r, func(spec *subscription.Spec) {
		spec.Site, spec.URL = "/noaa", spec.URL+"?token=hidden"
		spec.Schedule, spec.Deactivation = delivery.ScheduleNone, &subscription.DeactivationRules{Failures: 4}
	})
	exhausted := make(chan delivery.DeliveryEvent, 10)
	recovered := make(chan delivery.SubscriptionEvent, 10)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Hooks.DeliveryExhausted = func(_ context.Context, ev delivery.DeliveryEvent) { exhausted <- ev }
		cfg.Hooks.SubscriptionRecovered = func(_ context.Context, ev delivery.SubscriptionEvent) { recovered <- ev }
	})
	var last string
	for i := range 7 { // 2 failures, a success, 4 failures
		if i == 2 {
			r.Script(deliverytest.Answer{})
		}
		last = b.enqueue(nil)
		b.drain(engine)
	}

	types, data := heard(t, operator)
	require.ElementsMatch(t, []string{
		event.DeliveryExhausted, event.DeliveryExhausted, event.SubscriptionFailing,
		event.SubscriptionRecovered,
		event.DeliveryExhausted, event.DeliveryExhausted, event.SubscriptionFailing,
		event.DeliveryExhausted, event.DeliveryExhausted, event.SubscriptionDeactivated,
	}, types)
	got := map[string]map[string]any{}
	for i, eventType := range types {
		got[eventType] = data[i]
	}
	about := map[string]any{"subscription": sub.ID.String(), "owner": "owner", "url": r.URL() + "?redacted"}
	with := func(more map[string]any) map[string]any {
		maps.Copy(more, about)
		return more
	}
	for eventType, want := range map[string]map[string]any{
		event.SubscriptionFailing:     {"epoch": 1.0, "reason": "2 attempts in a row have failed", "failed_attempts": 2.0},
		event.SubscriptionRecovered:   {"epoch": 1.0, "reason": "an attempt was delivered", "failed_attempts": 2.0},
		event.SubscriptionDeactivated: {"epoch": 1.0, "reason": "4 attempts in a row have failed", "failed_attempts": 4.0},
	} {
		since, err := time.Parse(time.RFC3339, got[eventType]["failing_since"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), since, time.Minute)
		delete(got[eventType], "failing_since")
		require.Equal(t, with(want), got[eventType])
	}
	require.Equal(t, with(map[string]any{
		"delivery": b.delivery(last, sub.ID).ID.String(), "intent": last, "type": "user.created",
		"attempts": 1.0, "outcome": "rejected", "status": 400.0,
	}), got[event.DeliveryExhausted])
	require.Equal(t, 10, b.reserved())
	require.Equal(t, 10, b.count(`SELECT count(*) FROM riverhook.intent WHERE site = '/noaa'`), "they are at the subscription's site")
	require.Equal(t, 4, b.count(`SELECT count(*) FROM riverhook.intent
		WHERE resource_kind = 'riverhook.subscription' AND resource_id = $1`, sub.ID.String()))
	require.Len(t, exhausted, 6)
	require.Equal(t, sub.ID, (<-exhausted).SubscriptionID)
	require.Len(t, recovered, 1)
	require.Equal(t, 2, (<-recovered).FailedAttempts)
}

func TestOperations_OwnersDoNotHearOfThem(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	operator, owner := b.receiver(nil), b.receiver(nil)
	b.operations(operator)
	ownerID := b.subscribe(owner, func(spec *subscription.Spec) { spec.Events = []string{"**", "riverhook.**"} }).ID
	b.ruled(&subscription.DeactivationRules{Failures: 1})
	externalizers := &delivery.Externalizers{}
	require.NoError(t, externalizers.Register("", "", "", delivery.Externalizer(
		func(context.Context, dialect.Event) ([]byte, error) { return []byte(`{"from":"the application"}`), nil })))
	engine := b.engine(func(cfg *delivery.Config) { cfg.Externalize.Registry = externalizers })

	b.enqueue(nil)
	b.drain(engine)

	require.Len(t, owner.Requests(), 1)
	_, data := heard(t, operator)
	require.Len(t, data, 2)
	require.Contains(t, data[0], "url", "its data is Riverhook's, whatever the application externalizes")
	require.Equal(t, 2, b.reserved())
	x, err := engine.Explain(t.Context(), operator.Requests()[0].ID())
	require.NoError(t, err)
	for _, s := range x.Subscriptions {
		if s.SubscriptionID == ownerID {
			require.Equal(t, delivery.DecisionNotMatched, s.Outcome)
			require.Contains(t, s.Why, "for subscriptions of the operator")
			return
		}
	}
	t.Fatal("it is not explained")
}

func TestOperations_NothingIsWrittenWhereNoOperatorListens(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]func(b *bundle){
		"nobody":   func(*bundle) {},
		"an owner": func(b *bundle) { b.subscribe(b.receiver(nil), nil) },
		"to other types": func(b *bundle) {
			b.subscribe(b.receiver(nil), func(s *subscription.Spec) { operatorOnly(s); s.Events = []string{"user.*", "*.created"} })
		},
		"deactivated": func(b *bundle) { b.deactivate(b.operations(b.receiver(nil)).ID, "") },
		"deleted": func(b *bundle) {
			require.NoError(b.t, b.subs.Delete(b.t.Context(), b.operations(b.receiver(nil)).ID))
		},
		"changed": func(b *bundle) {
			_, err := b.subs.Update(b.t.Context(), b.operations(b.receiver(nil)).ID, subscription.Update{Events: &[]string{"user.created"}})
			require.NoError(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			listen(b)
			subID := b.ruled(&subscription.DeactivationRules{Failures: 2})
			engine := b.engine(nil)
			for range 2 {
				b.enqueue(nil)
				b.drain(engine)
			}
			require.Equal(t, subscription.StateDeactivated, b.subscription(subID).State)
			require.Zero(t, b.reserved())
		})
	}
}

func TestOperations_EachPatternOfAnOperatorIsHeard(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, pattern := range []string{
		"**", "riverhook.**", "riverhook.delivery.*", "*.delivery.exhausted", "*.**", "riverhook.delivery.exhausted",
	} {
		r := b.receiver(nil)
		subID := b.subscribe(r, func(spec *subscription.Spec) { operatorOnly(spec); spec.Events = []string{pattern} }).ID
		failing := b.ruled(nil)
		engine := b.engine(nil)
		b.enqueue(nil)
		b.drain(engine)
		types, _ := heard(t, r)
		require.Contains(t, types, event.DeliveryExhausted, pattern)
		for _, id := range []uuid.UUID{subID, failing} {
			require.NoError(t, b.subs.Delete(t.Context(), id))
		}
	}
}

func TestOperations_ADeadOperatorsEndpointMakesNoEndlessEvents(t *testing.T) {
	t.Parallel()
	// It takes what says that it fails, and refuses what says that it has recovered.
	contrary := func(req deliverytest.Request) deliverytest.Answer {
		if bytes.Contains(req.Body, []byte(event.SubscriptionFailing)) {
			return deliverytest.Answer{}
		}
		return deliverytest.Answer{Status: 400}
	}
	for name, answer := range map[string]func(deliverytest.Request) deliverytest.Answer{
		"dead":     func(deliverytest.Request) deliverytest.Answer { return deliverytest.Answer{Status: 400} },
		"contrary": contrary,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			const events = 5
			for range 2 {
				r := b.receiver(&deliverytest.ReceiverConfig{Answer: answer})
				b.subscribe(r, func(spec *subscription.Spec) {
					operatorOnly(spec)
					spec.Schedule, spec.MaxInFlight = delivery.ScheduleNone, 1
					spec.Deactivation = &subscription.DeactivationRules{Failures: 20, Warning: 5}
				})
			}
			engine := b.engine(nil)

			for range events {
				b.enqueue(nil)
				deliverytest.Drain(ctx, t, engine, nil)
			}
			written := b.reserved()
			for range 10 {
				require.NoError(t, engine.Maintain(ctx))
				deliverytest.Drain(ctx, t, engine, nil)
			}

			require.Equal(t, written, b.reserved(), "what nobody has caused does not go on")
			require.Positive(t, written)
			// For each event and subscription one that is exhausted, one warning and one
			// recovery, and for each epoch one deactivation.
			require.LessOrEqual(t, written, 3*2*events+2)
		})
	}
}

func TestOperations_OneIsWrittenWithItsChangeOrNeitherIs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	operator := b.receiver(nil)
	b.operations(operator)
	subID := b.ruled(nil)
	b.enqueue(nil)
	b.drain(b.engine(nil))
	b.cfg.Deactivation.Failures = 1
	engine, _, deactivated := b.watched()
	b.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''disk full'' USING ERRCODE = ''53100''; END'`)
	b.exec(`CREATE TRIGGER refuse BEFORE INSERT ON riverhook.intent FOR EACH ROW EXECUTE FUNCTION refuse()`)

	require.ErrorContains(t, engine.Maintain(t.Context()), "disk full")
	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	require.Empty(t, deactivated)
	b.exec(`DROP TRIGGER refuse ON riverhook.intent`)
	b.drain(engine)

	require.Equal(t, subscription.StateDeactivated, b.subscription(subID).State)
	require.Len(t, deactivated, 1)
	types, _ := heard(t, operator)
	require.Contains(t, types, event.SubscriptionDeactivated)
}

func TestOperations_EachRoundThatIsExhaustedIsAnnounced(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.operations(b.receiver(nil))
	b.ruled(nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, 1, b.reserved())
	require.Equal(t, "exhausted", b.deliveries(id)[0].State)

	require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(id)[0].ID))
	b.drain(engine)
	require.Equal(t, 2, b.reserved(), "each round has its end")
}

func TestHealth_OfASubscriptionIsKeptInEachQueryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
			require.NoError(t, err)
			cfg.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			b = bundleOn(t, pool)
			b.operations(b.receiver(nil))
			r := b.always(deliverytest.Answer{Status: 400})
			subID := b.subscribe(r, func(spec *subscription.Spec) {
				spec.Schedule, spec.Deactivation = delivery.ScheduleNone, &subscription.DeactivationRules{Failures: 2}
			}).ID
			engine := b.engine(nil)

			for i := range 4 { // a failure, a success, two failures
				if i == 1 {
					r.Script(deliverytest.Answer{})
				}
				b.enqueue(nil)
				b.drain(engine)
			}
			require.Equal(t, subscription.StateDeactivated, b.health(engine, subID).State)
			require.Equal(t, 3+2+1+1, b.reserved(), "exhausted, failing, recovered, deactivated")
			inactive := b.enqueue(nil)
			b.drain(engine)
			b.activate(subID)
			b.pause(subID)
			held := b.enqueue(nil)
			b.drain(engine)
			b.change(b.subs.Activate(t.Context(), subID, &subscription.ActivateOpts{DropHeld: true}))
			require.Equal(t, "cancelled", b.delivery(held, subID).State)
			n, err := engine.Recover(t.Context(), subID, nil)
			require.NoError(t, err)
			require.Equal(t, 5, n)
			b.drain(engine)
			require.Equal(t, "exhausted", b.delivery(inactive, subID).State)
		})
	}
}
