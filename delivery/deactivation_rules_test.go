package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/subscription"
)

// ruled subscribes a receiver that rejects everything under rules of its own.
func (b *bundle) ruled(rules *subscription.DeactivationRules) uuid.UUID {
	b.t.Helper()
	return b.subscribe(b.always(deliverytest.Answer{Status: 400}), func(spec *subscription.Spec) {
		spec.Schedule, spec.Deactivation = delivery.ScheduleNone, rules
	}).ID
}

// gated subscribes a receiver whose first request is answered by what is sent to
// the channel, when that is; all others at once, by other.
func (b *bundle) gated(other deliverytest.Answer) (r *deliverytest.Receiver, sub uuid.UUID, answer chan<- deliverytest.Answer) {
	b.t.Helper()
	gate := make(chan deliverytest.Answer, 1)
	var came atomic.Bool
	r = b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		if came.Swap(true) {
			return other
		}
		select {
		case a := <-gate:
			return a
		case <-b.t.Context().Done():
			return other
		}
	}})
	sub = b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" }).ID
	return r, sub, gate
}

// underWay drains the engine beside the test, and returns when a request is under
// way; done says that it has come to its end.
func (b *bundle) underWay(engine *delivery.Engine, r *deliverytest.Receiver) (done <-chan struct{}) {
	b.t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.drain(engine)
	}()
	_, err := r.Wait(b.t.Context(), 1)
	require.NoError(b.t, err)
	return over
}

func (b *bundle) health(engine *delivery.Engine, id uuid.UUID) delivery.Health {
	b.t.Helper()
	h, err := engine.Health(b.t.Context(), id)
	require.NoError(b.t, err)
	return *h
}

func TestDeactivate_AtThe250thFailureInARowInWhateverTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subID := b.ruled(&subscription.DeactivationRules{Failures: 250, Exhausted: subscription.NoRule})
	engine := b.engine(nil)

	for range 249 {
		b.enqueue(nil)
	}
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	require.Equal(t, 249, b.health(engine, subID).FailedAttempts)
	b.enqueue(nil)
	b.drain(engine)

	require.Equal(t, subscription.StateDeactivated, b.subscription(subID).State)
	require.Equal(t, "250 attempts in a row have failed", b.health(engine, subID).Reason)
}

func TestDeactivate_ASubscriptionsOwnRulesGoBeforeTheEngines(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Deactivation.Failures = 2 })
	never := b.ruled(&subscription.DeactivationRules{Failures: subscription.NoRule})
	plain := b.ruled(nil)
	patient := b.ruled(&subscription.DeactivationRules{Failures: 4})
	states := func() [3]subscription.State {
		return [3]subscription.State{b.subscription(never).State, b.subscription(plain).State, b.subscription(patient).State}
	}
	failed := func() {
		b.enqueue(nil)
		b.drain(engine)
	}

	failed()
	require.Equal(t, [3]subscription.State{subscription.StateActive, subscription.StateActive, subscription.StateActive}, states())
	failed()
	require.Equal(t, [3]subscription.State{subscription.StateActive, subscription.StateDeactivated, subscription.StateActive}, states())
	failed()
	failed()
	require.Equal(t, [3]subscription.State{subscription.StateActive, subscription.StateDeactivated, subscription.StateDeactivated}, states())
	_, err := b.subs.Update(t.Context(), never, subscription.Update{Deactivation: &subscription.DeactivationRules{}})
	require.NoError(t, err)
	b.drain(engine)
	require.Equal(t, subscription.StateDeactivated, b.subscription(never).State, "it has the engine's rules again")
}

func TestDeactivate_AWarningComesOnceOnTheWayToEachRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules subscription.DeactivationRules
		after int
		wait  time.Duration
	}{
		"half of the failures":      {subscription.DeactivationRules{Failures: 4}, 2, 0},
		"a quarter of the failures": {subscription.DeactivationRules{Failures: 8, Warning: 25}, 2, 0},
		"half of the exhausted, in half the time": {
			subscription.DeactivationRules{Exhausted: 4, ExhaustedWindow: 2 * time.Hour}, 2, 61 * time.Minute,
		},
		"all attempts, in half the time": {subscription.DeactivationRules{Attempts: 2, Window: 2 * time.Hour}, 2, 61 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			subID := b.ruled(&c.rules)
			engine, failing, deactivated := b.watched()

			for range c.after - 1 {
				b.enqueue(nil)
			}
			b.drain(engine)
			b.pass(c.wait)
			b.drain(engine)
			require.Empty(t, failing)
			b.pass(-c.wait)
			b.enqueue(nil)
			b.drain(engine)
			b.pass(c.wait)
			b.drain(engine)
			b.drain(engine)

			require.Len(t, failing, 1)
			require.Equal(t, c.after, (<-failing).FailedAttempts)
			require.False(t, b.health(engine, subID).WarnedAt.IsZero())
			require.Empty(t, deactivated)
		})
	}
}

func TestDeactivate_WithoutAWarningItComesAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.ruled(&subscription.DeactivationRules{Failures: 3, Warning: subscription.NoRule})
	engine, failing, deactivated := b.watched()

	for range 3 {
		b.enqueue(nil)
		b.drain(engine)
	}

	require.Empty(t, failing)
	require.Len(t, deactivated, 1)
}

func TestHealth_PausingEndsTheWindowOfFailures(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subID := b.ruled(&subscription.DeactivationRules{
		Attempts: 2,
		Failures: 3,
		Window:   time.Hour,
	})
	engine := b.engine(nil)
	for range 2 {
		b.enqueue(nil)
	}
	b.drain(engine)

	b.pause(subID)
	b.pass(2 * time.Hour)
	b.drain(engine)
	require.Equal(t, subscription.StatePaused, b.subscription(subID).State, "it does not fail while it is paused")
	b.activate(subID)
	b.enqueue(nil)
	b.drain(engine)

	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	h := b.health(engine, subID)
	require.Equal(t, 1, h.FailedAttempts)
	require.Equal(t, 1, h.Exhausted)
	require.WithinDuration(t, time.Now(), h.FailingSince, time.Minute)
}

func TestHealth_SaysSinceWhenASubscriptionFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: 500})
	subID := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" }).ID
	engine := b.engine(nil)
	since := b.subscription(subID).StateSince
	require.Equal(t, delivery.Health{
		State:      subscription.StateActive,
		StateSince: since,
		Epoch:      1,
	}, b.health(engine, subID))

	b.enqueue(nil)
	b.drain(engine)
	h := b.health(engine, subID)
	require.Equal(t, 1, h.FailedAttempts)
	require.Zero(t, h.Exhausted)
	require.WithinDuration(t, time.Now(), h.FailingSince, time.Minute)
	b.deactivate(subID, "too loud")
	h = b.health(engine, subID)
	require.Equal(t, delivery.Health{
		State:      subscription.StateDeactivated,
		Reason:     "too loud",
		StateSince: h.StateSince,
		Epoch:      2,
	}, h)

	_, err := engine.Health(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

func TestDeactivate_TwoEnginesDoItOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var engines []*delivery.Engine
	told := make(chan delivery.SubscriptionEvent, 100)
	for range 2 {
		engines = append(engines, b.engine(func(cfg *delivery.Config) {
			cfg.Maintenance.Interval = time.Millisecond
			cfg.Hooks.SubscriptionDeactivated = func(_ context.Context, ev delivery.SubscriptionEvent) { told <- ev }
		}))
	}
	b.subscribe(b.receiver(nil), func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Events = []string{event.SubscriptionDeactivated}
	})
	const all = 10
	var subs []uuid.UUID
	for range all {
		subs = append(subs, b.ruled(&subscription.DeactivationRules{Failures: 2}))
	}
	for range 2 { // each fails twice at once
		b.enqueue(nil)
	}
	for _, engine := range engines {
		b.start(engine)
	}

	b.eventually(func() bool { return len(told) >= all })
	for _, engine := range engines {
		require.NoError(t, engine.Stop(t.Context()))
	}
	require.Len(t, told, all)
	for _, id := range subs {
		require.Equal(t, subscription.StateDeactivated, b.subscription(id).State)
		require.Equal(t, 2, b.subscription(id).Epoch)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.intent WHERE type = $1 AND resource_id = $2`,
			event.SubscriptionDeactivated, id.String()))
	}
}

func TestDeactivate_ADeliveryUnderWayMeanwhileIsRecorded(t *testing.T) {
	t.Parallel()
	for status, outcome := range map[int][2]string{204: {"delivered", "delivered"}, 500: {"failed", "cancelled"}} {
		b := newBundle(t)
		r, subID, answer := b.gated(deliverytest.Answer{})
		engine := b.engine(nil)
		id := b.enqueue(nil)
		done := b.underWay(engine, r)

		b.deactivate(subID, "too loud")
		answer <- deliverytest.Answer{Status: status}
		<-done
		b.pass(time.Hour)
		b.drain(engine)

		require.Equal(t, []string{outcome[0]}, b.history(id))
		require.Equal(t, outcome[1], b.deliveries(id)[0].State)
		require.Len(t, r.Requests(), 1)
		require.Equal(t, 2, b.subscription(subID).Epoch)
	}
}

func TestHealth_WhatComesLateFromAPastEpochCountsNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{204, 500} {
		b := newBundle(t)
		r, subID, answer := b.gated(deliverytest.Answer{Status: 400})
		engine, failing, _ := b.watched()
		b.enqueue(nil)
		done := b.underWay(engine, r)

		b.deactivate(subID, "too loud")
		b.activate(subID)
		b.enqueue(nil)
		b.drain(b.engine(nil))
		before := b.health(engine, subID)
		require.Equal(t, 1, before.FailedAttempts)
		answer <- deliverytest.Answer{Status: status}
		<-done

		require.Equal(t, before, b.health(engine, subID), "status %d", status)
		require.Empty(t, failing)
	}
}

func TestHealth_ASuccessEndsAWindowThatBeganWhileItWasUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID, answer := b.gated(deliverytest.Answer{Status: 400})
	engine := b.engine(nil)
	b.enqueue(nil)
	done := b.underWay(engine, r)
	b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Equal(t, 1, b.health(engine, subID).FailedAttempts)

	answer <- deliverytest.Answer{}
	<-done

	require.Zero(t, b.health(engine, subID).FailedAttempts, "they were not in a row")
}

func TestDeactivate_EachTroubledSubscriptionComesToItsTurn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	last := b.ruled(&subscription.DeactivationRules{Failures: 1})
	b.exec(`INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '/', 'https://example.com', '{"**"}', true, 'standard'
		FROM generate_series(1, 2500) n`)
	b.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, failing_since, failed_attempts)
		SELECT id, 1, now(), 1 FROM riverhook.subscription`)
	engine := b.engine(nil)

	for range 2 {
		require.NoError(t, engine.Maintain(t.Context()))
		require.Equal(t, subscription.StateActive, b.subscription(last).State)
	}
	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, subscription.StateDeactivated, b.subscription(last).State, "a round looks at a thousand")
	b.exec(`UPDATE riverhook.subscription SET deactivation = '{"failures": 1}' WHERE id = '00000000-0000-7000-8000-000000000001'`)
	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription WHERE state = 'deactivated' AND site = '/' AND operator`),
		"and begins anew behind the last")
}

func TestActivate_WhatAPauseHeldBackIsDroppedByChoice(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	other := b.subscribe(b.receiver(nil), nil)
	engine := b.engine(nil)
	b.pause(sub.ID)
	b.pause(other.ID)
	held := b.enqueue(nil)
	circuit := b.enqueue(nil)
	b.drain(engine)
	b.exec(`UPDATE riverhook.delivery SET hold = 'circuit' WHERE id = $1`, b.delivery(circuit, sub.ID).ID)

	b.change(b.subs.Activate(t.Context(), sub.ID, &subscription.ActivateOpts{DropHeld: true}))
	b.drain(engine)

	dropped := b.delivery(held, sub.ID)
	require.Equal(t, "cancelled", dropped.State)
	require.Equal(t, "dropped when the subscription was activated", dropped.Reason)
	require.Empty(t, dropped.Hold)
	require.Equal(t, "delivered", b.delivery(circuit, sub.ID).State, "the pause has not held it back")
	require.Equal(t, "paused", b.delivery(held, other.ID).Hold)
	n, err := engine.Recover(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(held, sub.ID).State)
}

func TestRecover_SendsTheEventsOfADeactivation(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	engine := b.engine(nil)
	cancelled := b.enqueue(nil)
	b.drain(engine)
	b.deactivate(sub.ID, "")
	early := b.enqueue(nil)
	inactive := b.enqueue(nil)
	dropped := b.enqueue(nil)
	b.pass(2 * time.Hour)
	b.drain(engine)
	b.exec(`UPDATE riverhook.decision d SET created_at = now() - interval '1 day' FROM riverhook.intent i
		WHERE i.id = d.intent_id AND i.wire_id = $1`, early)
	b.exec(`UPDATE riverhook.intent SET data = NULL, gone = 'dropped' WHERE wire_id = $1`, dropped)
	_, err := engine.Recover(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrSubscriptionDeactivated)
	b.activate(sub.ID)

	n, err := engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{Since: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(cancelled, sub.ID).State)
	require.Equal(t, "delivered", b.delivery(inactive, sub.ID).State)
	require.Equal(t, "inactive", b.decisions(early)[sub.ID][0])
	require.Equal(t, "inactive", b.decisions(dropped)[sub.ID][0], "its data is gone")

	n, err = engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryCancelled}})
	require.NoError(t, err)
	require.Zero(t, n, "deliveries alone")
	n, err = engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(early, sub.ID).State)
}
