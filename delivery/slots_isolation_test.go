package delivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// enqueueMany commits n intents of a type.
func (b *bundle) enqueueMany(eventType string, n int) {
	b.t.Helper()
	intents := make([]outbox.Intent, n)
	for i := range intents {
		intents[i] = outbox.Intent{Type: eventType, Data: i}
	}
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.outbox.EnqueueMany(b.t.Context(), tx, intents)
		return err
	}))
}

func only(pattern string) func(spec *subscription.Spec) {
	return func(spec *subscription.Spec) { spec.Events = []string{pattern} }
}

func TestSlots_AnEndpointThatHangsTakesNoMoreThanItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hanging := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Hang: true}
	}})
	fast := b.receiver(nil)
	sub := b.subscribe(hanging, func(spec *subscription.Spec) {
		spec.Events, spec.MaxInFlight = []string{"slow.event"}, 3
	})
	b.subscribe(fast, only("fast.event"))
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.InFlight, cfg.Timeouts.Stop = 8, time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))
	b.enqueueMany("slow.event", 50)
	_, err := hanging.Wait(t.Context(), 3)
	require.NoError(t, err)

	b.enqueueMany("fast.event", 50)

	_, err = fast.Wait(t.Context(), 50)
	require.NoError(t, err)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND hold = 'slots'`, sub.ID) == 47
	})
	require.Len(t, hanging.Requests(), 3)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND hold = 'slots' AND job_id IS NOT NULL`,
		sub.ID), "what is held has no River job")
	require.ErrorIs(t, engine.Stop(t.Context()), context.DeadlineExceeded, "the three were interrupted")
}

func TestRelease_HeldDeliveriesGoOnInOrderAsSlotsAreFreed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Delay: 100 * time.Millisecond}
	}})
	sub := b.subscribe(slow, func(spec *subscription.Spec) { spec.MaxInFlight = 1 })
	b.start(b.engine(nil))
	b.enqueueMany("some.event", 20)

	_, err := slow.Wait(t.Context(), 20)
	require.NoError(t, err)

	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND state = 'delivered'`, sub.ID) == 20
	})
	require.Equal(t, 20, b.count(`SELECT count(*) FROM riverhook.attempt`))
}

func TestCircuit_OpensHoldsAndIsProbed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	for range 5 {
		receiver.Script(deliverytest.Answer{Status: 500})
	}
	sub := b.subscribe(receiver, func(spec *subscription.Spec) { spec.Schedule = "none" })
	engine := b.engine(nil)
	for range 5 {
		b.enqueue(nil)
		b.drain(engine)
	}
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health
		WHERE subscription_id = $1 AND circuit_until > now() AND circuit_opened = 1`, sub.ID))

	// The others wait, also in an engine that has just been started.
	other := b.engine(nil)
	waiting := []string{b.enqueue(nil), b.enqueue(nil), b.enqueue(nil)}
	b.drain(other)
	for _, id := range waiting {
		require.Equal(t, "circuit", b.deliveries(id)[0].Hold)
	}
	require.Len(t, receiver.Requests(), 5)

	// When the pause is over the oldest goes out alone; a failure opens the
	// circuit again, for longer.
	receiver.Script(deliverytest.Answer{Status: 500})
	b.endPause()
	b.drain(other)
	require.Len(t, receiver.Requests(), 6)
	require.Equal(t, "exhausted", b.deliveries(waiting[0])[0].State)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health
		WHERE subscription_id = $1 AND circuit_until > now() + interval '7 seconds' AND circuit_opened = 2`, sub.ID))

	// A success closes it, and the rest follows.
	b.endPause()
	b.drain(other)
	require.Equal(t, "delivered", b.deliveries(waiting[1])[0].State)
	require.Equal(t, "delivered", b.deliveries(waiting[2])[0].State)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health
		WHERE subscription_id = $1 AND circuit_until IS NULL AND circuit_opened = 0`, sub.ID))
}

func (b *bundle) endPause() {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), `UPDATE riverhook.subscription_health SET circuit_until = now() WHERE circuit_until IS NOT NULL`)
	require.NoError(b.t, err)
}

func TestCircuit_NothingIsSentBeforeRetryAfter(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 429, Header: map[string][]string{"Retry-After": {"3600"}}})
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	first := b.enqueue(nil)
	b.drain(engine)

	second := b.enqueue(nil)
	b.drain(engine)

	require.Len(t, receiver.Requests(), 1)
	require.Equal(t, "circuit", b.deliveries(second)[0].Hold)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.wire_id = $1 AND d.state = 'pending' AND d.due_at > now() + interval '59 minutes'`, first))
}

// The second event opens the circuit while the first one waits for its retry.
func TestCircuit_ARetryIsHeldWhileItIsOpen(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500},
		deliverytest.Answer{Status: 503, Header: map[string][]string{"Retry-After": {"3600"}}})
	b.subscribe(receiver, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleStandard })
	engine := b.engine(nil)
	first := b.enqueue(nil)
	b.drain(engine)
	b.enqueue(nil)
	b.drain(engine)

	b.pass(time.Minute)
	b.drain(engine)

	require.Len(t, receiver.Requests(), 2)
	require.Equal(t, "circuit", b.deliveries(first)[0].Hold)
	require.Equal(t, []string{"failed"}, b.history(first))
}

func TestRelease_ManyThatAPauseHeldGoOnInOrder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, func(spec *subscription.Spec) { spec.MaxInFlight = 1 })
	_, err := b.subs.Pause(ctx, sub.ID)
	require.NoError(t, err)
	engine := b.engine(nil)
	var ids []string
	for range 5 {
		ids = append(ids, b.enqueue(nil))
		b.drain(engine)
	}
	require.Empty(t, receiver.Requests())

	_, err = b.subs.Activate(ctx, sub.ID, nil)
	require.NoError(t, err)
	b.drain(engine)

	var got []string
	for _, r := range receiver.Requests() {
		got = append(got, r.ID())
	}
	require.Equal(t, ids, got)
}
