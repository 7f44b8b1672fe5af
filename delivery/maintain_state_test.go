package delivery_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func (b *bundle) pause(id uuid.UUID)    { b.change(b.subs.Pause(b.t.Context(), id)) }
func (b *bundle) activate(id uuid.UUID) { b.change(b.subs.Activate(b.t.Context(), id, nil)) }
func (b *bundle) deactivate(id uuid.UUID, reason string) {
	b.change(b.subs.Deactivate(b.t.Context(), id, reason))
}

func (b *bundle) change(changed bool, err error) {
	b.t.Helper()
	require.NoError(b.t, err)
	require.True(b.t, changed)
}

// rejecting subscribes a receiver that answers 400 to everything it is not
// scripted for, and is tried once for each event.
func (b *bundle) rejecting() (*deliverytest.Receiver, uuid.UUID) {
	b.t.Helper()
	r := b.always(deliverytest.Answer{Status: 400})
	return r, b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone }).ID
}

func TestRelease_WhatAPauseHeldGoesOutInOrder(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.MaxInFlight = 1 })
	b.pause(sub.ID)
	engine := b.engine(nil)

	var ids []string
	for range 5 {
		ids = append(ids, b.enqueue(nil))
		b.drain(engine)
	}
	b.pass(24 * time.Hour)
	b.drain(engine)
	require.Empty(t, r.Requests())
	for _, id := range ids {
		require.Equal(t, "paused", b.deliveries(id)[0].Hold)
	}
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE finalized_at IS NULL`), "who waits costs no job")
	b.activate(sub.ID)
	b.drain(engine)

	var got []string
	for _, req := range r.Requests() {
		got = append(got, req.ID())
	}
	require.Equal(t, ids, got)
}

func TestPause_BetweenTwoAttemptsHoldsTheDelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	b.pause(sub.ID)
	b.pass(time.Hour)
	b.drain(engine)
	require.Equal(t, "paused", b.deliveries(id)[0].Hold)
	b.activate(sub.ID)
	b.drain(engine)

	require.Equal(t, []string{"failed", "delivered"}, b.history(id))
	require.Equal(t, 2, b.deliveries(id)[0].Attempts)
}

func TestExpand_ADeactivatedSubscriptionIsPassedOver(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	b.deactivate(sub.ID, "")
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	b.activate(sub.ID)
	b.drain(engine)

	require.Empty(t, r.Requests(), "what happened meanwhile is not sent later")
	require.Equal(t, [2]string{"inactive", "the subscription is deactivated"}, b.decisions(id)[sub.ID])
}

func TestCancel_ADeliveryEndsWithItsSubscription(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bundle, id uuid.UUID)
		reason string
	}{
		"that is deactivated": {
			func(b *bundle, id uuid.UUID) { b.deactivate(id, "too loud") },
			"the subscription is deactivated: too loud",
		},
		"that is deactivated and active again": {
			func(b *bundle, id uuid.UUID) { b.deactivate(id, "too loud"); b.activate(id) },
			"the subscription was deactivated meanwhile",
		},
		"that is deleted": {
			func(b *bundle, id uuid.UUID) { require.NoError(b.t, b.subs.Delete(b.t.Context(), id)) },
			"the subscription was deleted",
		},
	} {
		t.Run(name+", between two attempts", func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			r.Script(deliverytest.Answer{Status: 500})
			sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)
			c.change(b, sub.ID)
			b.pass(time.Hour)
			b.drain(engine)

			require.Len(t, r.Requests(), 1)
			require.Equal(t, "cancelled", b.deliveries(id)[0].State)
			require.Equal(t, c.reason, b.deliveries(id)[0].Reason)
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE finalized_at IS NULL`))
		})

		t.Run(name+", while it is held", func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			sub := b.subscribe(r, nil)
			b.pause(sub.ID)
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)
			c.change(b, sub.ID)
			b.drain(engine)

			require.Empty(t, r.Requests())
			require.Equal(t, "cancelled", b.deliveries(id)[0].State)
			require.Equal(t, c.reason, b.deliveries(id)[0].Reason)
			require.Empty(t, b.deliveries(id)[0].Hold)
		})
	}
}

func TestExpire_ADeliveryThatIsHeldForTooLong(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	b.pause(sub.ID)
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	b.pass(29 * 24 * time.Hour)
	b.drain(engine)
	require.Equal(t, "pending", b.deliveries(id)[0].State)
	b.pass(2 * 24 * time.Hour)
	b.drain(engine)

	require.Equal(t, "expired", b.deliveries(id)[0].State)
	require.Equal(t, "held for too long: paused", b.deliveries(id)[0].Reason)
	b.activate(sub.ID)
	b.drain(engine)
	require.Empty(t, r.Requests())
}

// watched is an engine whose hooks tell the channels.
func (b *bundle) watched() (engine *delivery.Engine, failing, deactivated chan delivery.SubscriptionEvent) {
	b.t.Helper()
	failing, deactivated = make(chan delivery.SubscriptionEvent, 10), make(chan delivery.SubscriptionEvent, 10)
	return b.engine(func(cfg *delivery.Config) {
		cfg.Hooks.SubscriptionFailing = func(_ context.Context, ev delivery.SubscriptionEvent) { failing <- ev }
		cfg.Hooks.SubscriptionDeactivated = func(_ context.Context, ev delivery.SubscriptionEvent) { deactivated <- ev }
	}), failing, deactivated
}

func TestDeactivate_AfterFiveDaysAndTenAttemptsWithoutASuccess(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.rejecting()
	engine, failing, deactivated := b.watched()

	for range 9 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(6 * 24 * time.Hour)
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State, "9 attempts are not enough, however long it takes")
	require.Empty(t, failing)
	b.pass(-3 * 24 * time.Hour)
	b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State, "10 attempts are not enough in 3 days")
	require.Len(t, failing, 1, "half way there")
	require.Len(t, failing, 1)
	require.Equal(t, subID, (<-failing).SubscriptionID)
	b.drain(engine)
	b.pass(2*24*time.Hour + time.Minute)
	b.drain(engine)

	sub := b.subscription(subID)
	require.Equal(t, subscription.StateDeactivated, sub.State)
	require.Contains(t, sub.StateReason, "10 attempts in a row have failed since ")
	require.Len(t, deactivated, 1)
	require.Len(t, deactivated, 1)
	ev := <-deactivated
	require.Equal(t, subID, ev.SubscriptionID)
	require.Equal(t, sub.StateReason, ev.Reason)
	require.Equal(t, 10, ev.FailedAttempts)
	require.False(t, ev.FailingSince.IsZero())
	b.drain(engine)
	require.Empty(t, failing, "one warning")
	require.Empty(t, deactivated, "once")
}

func TestDeactivate_AfterFiftyExhaustedDeliveriesInARowOverAnHour(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.rejecting()
	engine := b.engine(nil)
	for range 49 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(2 * time.Hour)
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State, "49 are not enough")
	b.pass(-90 * time.Minute)
	b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State, "50 are not enough in half an hour")
	b.pass(time.Hour)
	b.drain(engine)

	require.Equal(t, subscription.StateDeactivated, b.subscription(subID).State)
	require.Equal(t, "50 deliveries in a row were exhausted", b.subscription(subID).StateReason)
}

func TestDeactivate_RulesThatNoCountReachesEndAndPruneNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.rejecting()
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Deactivation = subscription.DeactivationRules{
			Attempts:        math.MaxInt,
			Exhausted:       math.MaxInt,
			Unresolvable:    math.MaxInt,
			Window:          time.Hour,
			ExhaustedWindow: time.Hour,
		}
		cfg.History.PerSubscription = math.MaxInt
	})
	for range 50 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(2 * time.Hour)

	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	require.Zero(t, b.prune(engine))
}

func TestHealth_ASuccessEndsTheWindowOfFailures(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.rejecting()
	engine, failing, _ := b.watched()

	for range 9 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(4 * 24 * time.Hour)
	r.Script(deliverytest.Answer{Status: 200})
	b.enqueue(nil)
	b.drain(engine)
	for range 10 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(2 * 24 * time.Hour)
	b.drain(engine)

	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	require.Empty(t, failing)
	require.Equal(t, 10, b.count(`SELECT failed_attempts FROM riverhook.subscription_health`))
	require.Equal(t, 10, b.count(`SELECT exhausted_row FROM riverhook.subscription_health`))
}

func TestHealth_ResumingStartsANewWindowToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.rejecting()
	engine := b.engine(nil)
	for range 10 {
		b.enqueue(nil)
	}
	b.drain(engine)
	_, err := b.subs.Pause(t.Context(), subID)
	require.NoError(t, err)
	b.pass(6 * 24 * time.Hour)

	b.activate(subID)
	b.drain(engine)

	require.Equal(t, subscription.StateActive, b.subscription(subID).State, "it did not fail while it was paused")
}

func TestHealth_ReactivationStartsANewWindow(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.rejecting()
	engine := b.engine(nil)
	for range 10 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(6 * 24 * time.Hour)
	b.drain(engine)
	require.Equal(t, subscription.StateDeactivated, b.subscription(subID).State)

	b.activate(subID)
	b.enqueue(nil)
	b.drain(engine)
	b.pass(6 * 24 * time.Hour)
	b.drain(engine)

	require.Len(t, r.Requests(), 11)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
}

func TestHooks_OneThatPanicsStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var subs []uuid.UUID
	for range 2 {
		r := b.receiver(nil)
		r.Script(deliverytest.Answer{Status: 410})
		subs = append(subs, b.subscribe(r, nil).ID)
	}
	b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Hooks.SubscriptionDeactivated = func(context.Context, delivery.SubscriptionEvent) { panic("pager is down") }
	}))

	for _, id := range subs {
		require.Equal(t, subscription.StateDeactivated, b.subscription(id).State)
	}
}

// What somebody or something may do to River's rows. River's own rows are only
// the alarm clock: nothing is lost.
var tamperings = map[string]struct {
	statement string
	cancels   bool
}{
	"cancelled by hand": {`UPDATE riverhook.river_job SET state = 'cancelled', finalized_at = now() WHERE finalized_at IS NULL`, true},
	"completed wrongly": {`UPDATE riverhook.river_job SET state = 'completed', finalized_at = now() WHERE finalized_at IS NULL`, false},
	"deleted":           {`DELETE FROM riverhook.river_job`, false},
	"discarded":         {`UPDATE riverhook.river_job SET state = 'discarded', finalized_at = now() WHERE finalized_at IS NULL`, false},
}

func TestReconcile_ADeliveryWhoseRiverJobIs(t *testing.T) {
	t.Parallel()
	for name, tampering := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			r.Script(deliverytest.Answer{Status: 500})
			b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)
			require.Positive(t, b.exec(tampering.statement))
			b.pass(time.Hour)
			b.drain(engine)
			b.drain(engine)

			d := b.deliveries(id)[0]
			if tampering.cancels {
				require.Equal(t, "cancelled", d.State)
				require.Equal(t, "its River job was cancelled", d.Reason)
				require.Len(t, r.Requests(), 1)
				return
			}
			require.Equal(t, "delivered", d.State)
			require.Equal(t, []string{"failed", "delivered"}, b.history(id))
		})
	}
}

func TestReconcile_AnIntentWhoseRiverJobIs(t *testing.T) {
	t.Parallel()
	for name, tampering := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			b.subscribe(r, nil)
			engine := b.engine(nil)

			id := b.enqueue(nil)
			require.Positive(t, b.exec(tampering.statement))
			b.pass(time.Second)
			b.drain(engine)
			b.drain(engine)

			if tampering.cancels {
				require.Empty(t, b.deliveries(id))
				require.Equal(t, "cancelled: its River job was cancelled", b.text(`SELECT state || ': ' || reason FROM riverhook.intent_state`))
				return
			}
			require.Len(t, r.Requests(), 1)
			require.Equal(t, "expanded", b.text(`SELECT state FROM riverhook.intent_state`))
		})
	}
}

func TestReconcile_ADecisionThatWaitsAndWhoseRiverJobIs(t *testing.T) {
	t.Parallel()
	for name, tampering := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			b.subscribe(r, nil)
			var tries atomic.Int32
			b.cfg.Externalize.Registry = &delivery.Externalizers{}
			require.NoError(t, b.cfg.Externalize.Registry.Register("", "", "**", func(_ context.Context, ev dialect.Event) ([]byte, error) {
				if tries.Add(1) == 1 {
					return nil, errors.New("the directory is down")
				}
				return ev.Data, nil
			}))
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)
			require.Len(t, b.decisions(id), 1)
			require.Positive(t, b.exec(tampering.statement))
			b.pass(time.Hour)
			b.drain(engine)

			require.Len(t, r.Requests(), 1, "a decision has no end of its own")
			require.Empty(t, b.decisions(id))
		})
	}
}

func TestRiver_CancellingTheJobOfARequestUnderWayEndsTheDelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Hang: true})
	b.subscribe(r, nil)
	b.start(b.engine(nil))
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: "riverhook"})
	require.NoError(t, err)

	id := b.enqueue(nil)
	_, err = r.Wait(t.Context(), 1)
	require.NoError(t, err)
	_, err = client.JobCancel(t.Context(), int64(b.count(`SELECT job_id FROM riverhook.delivery`)))
	require.NoError(t, err)

	b.eventually(func() bool { return b.deliveries(id)[0].State == "cancelled" })
	require.Equal(t, "its River job was cancelled", b.deliveries(id)[0].Reason)
	require.Equal(t, []string{"interrupted"}, b.history(id))
	require.Len(t, r.Requests(), 1)
}

func TestExpand_AnIntentIsNotExpandedBeforeItsTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	early, _ := b.subscribeAs("ada")
	recorder := accesstest.Record(accesstest.Table{"ada": nil, "bob": access.ErrDenied})
	engine := b.guardedBy(recorder)

	id := b.enqueue(func(in *outbox.Intent) { in.NotBefore = time.Now().Add(2 * time.Hour) })
	b.drainAhead(engine, time.Hour)
	require.Empty(t, recorder.Requests(), "nobody is looked up")
	late, _ := b.subscribeAs("ada")
	b.pass(59 * time.Minute)
	b.drain(engine)
	require.Empty(t, early.Requests())
	b.pass(time.Hour + time.Minute)
	b.drain(engine)

	require.Len(t, received(early, id), 1)
	require.Len(t, received(late, id), 1, "what is in force then counts")
}
