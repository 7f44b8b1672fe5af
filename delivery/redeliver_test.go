package delivery_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// numbers returns the attempts of a delivery as "round:number", with an m before
// the number of a manual one.
func (b *bundle) numbers(id uuid.UUID) []string {
	b.t.Helper()
	attempts, err := b.reader().Attempts(b.t.Context(), id)
	require.NoError(b.t, err)
	out := make([]string, len(attempts))
	for i, a := range attempts {
		manual := ""
		if a.Manual {
			manual = "m"
		}
		out[i] = fmt.Sprintf("%d:%s%d", a.Round, manual, a.Number)
	}
	return out
}

// failing is a receiver that answers 404.
func (b *bundle) failing() *deliverytest.Receiver {
	b.t.Helper()
	return b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Status: 404}
	}})
}

func TestRedeliver_OpensRound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.failing()
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drainAhead(engine, time.Minute)
	d := b.deliveries(id)[0]
	require.Equal(t, "exhausted", d.State)

	for range 2 {
		require.NoError(t, engine.Redeliver(t.Context(), d.ID))
		again, err := engine.History().Delivery(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, delivery.DeliveryPending, again.State)
		require.Zero(t, again.Attempts)
		require.Nil(t, again.EndedAt)
		b.drainAhead(engine, time.Minute)
		require.Equal(t, "exhausted", b.deliveries(id)[0].State)
	}
	receiver.Script(deliverytest.Answer{Status: 200})
	require.NoError(t, engine.Redeliver(t.Context(), d.ID))
	b.drainAhead(engine, time.Minute)

	require.Equal(t, "delivered", b.deliveries(id)[0].State)
	require.Equal(t, []string{
		"1:1", "1:2", "1:3", "1:4",
		"2:m1", "2:1", "2:2", "2:3",
		"3:m2", "3:1", "3:2", "3:3",
		"4:m3",
	}, b.numbers(d.ID))
	for _, r := range receiver.Requests() {
		require.Equal(t, id, r.ID())
		require.Equal(t, receiver.Requests()[0].Body, r.Body)
	}
}

func TestRedeliver_AnInterruptedAttemptIsMadeAgainAsManual(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0]
	require.NoError(t, engine.Redeliver(t.Context(), d.ID))
	b.exec(`UPDATE riverhook.river_job SET attempt = 1 WHERE state = 'available'`) // an engine died with it
	b.drain(engine)

	require.Equal(t, []string{"delivered", "interrupted", "delivered"}, b.outcomes(d.ID))
	require.Equal(t, []string{"1:1", "2:m1", "2:m1"}, b.numbers(d.ID))
}

func TestRedeliver_AnAttemptThatAStopInterruptsIsMadeAgainAsManual(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0]
	receiver.Script(deliverytest.Answer{Hang: true})
	require.NoError(t, engine.Redeliver(t.Context(), d.ID))
	stopped := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Stop = time.Millisecond })
	require.NoError(t, stopped.Start(t.Context()))
	_, err := receiver.Wait(t.Context(), 2)
	require.NoError(t, err)
	require.ErrorContains(t, stopped.Stop(t.Context()), "interrupted")
	b.drainAhead(engine, time.Minute)

	require.Equal(t, []string{"delivered", "interrupted", "delivered"}, b.outcomes(d.ID))
	require.Equal(t, []string{"1:1", "2:m1", "2:m1"}, b.numbers(d.ID))
}

func TestRedeliver_WhatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	sub := b.subscribe(b.receiver(nil), nil)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0].ID
	require.ErrorIs(t, engine.Redeliver(t.Context(), uuid.New()), delivery.ErrNotFound)

	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = engine.Redeliver(t.Context(), d) })
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		require.ErrorIs(t, err, delivery.ErrDeliveryPending)
	}
	require.Equal(t, 1, accepted)
	b.drain(engine)
	require.Equal(t, []string{"1:1", "2:m1"}, b.numbers(d))

	_, err := b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)
	require.ErrorIs(t, engine.Redeliver(t.Context(), d), delivery.ErrSubscriptionDeactivated)
	_, err = engine.Recover(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrSubscriptionDeactivated)
	require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	require.ErrorIs(t, engine.Redeliver(t.Context(), d), delivery.ErrSubscriptionGone)
	_, err = engine.Recover(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrSubscriptionGone)
	require.Equal(t, "delivered", b.deliveries(id)[0].State)
}

func TestRedeliver_BelongsToTheCallersTransaction(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	engine := b.engine(nil)
	b.subscribe(receiver, nil)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0].ID

	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, engine.In(tx).Redeliver(t.Context(), d))
	require.ErrorIs(t, engine.In(tx).Redeliver(t.Context(), d), delivery.ErrDeliveryPending)
	require.NoError(t, tx.Rollback(t.Context()))
	b.drain(engine)
	require.Len(t, receiver.Requests(), 1)

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		require.ErrorIs(t, engine.In(tx).Redeliver(t.Context(), uuid.New()), delivery.ErrNotFound)
		return engine.In(tx).Redeliver(t.Context(), d)
	}))
	b.drain(engine)
	require.Len(t, receiver.Requests(), 2)

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		return engine.In(tx).Redeliver(t.Context(), d)
	}))
	tx, err = b.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, engine.In(tx).Cancel(t.Context(), d, "not now"))
	require.NoError(t, tx.Rollback(t.Context()))
	b.drain(engine)
	require.Len(t, receiver.Requests(), 3)
}

func TestRedeliver_APausedSubscriptionHoldsIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	engine := b.engine(nil)
	sub := b.subscribe(receiver, nil)
	id := b.enqueue(nil)
	b.drain(engine)
	_, err := b.subs.Pause(t.Context(), sub.ID)
	require.NoError(t, err)

	require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(id)[0].ID))
	require.Equal(t, "paused", b.deliveries(id)[0].Hold)
	b.drain(engine)
	require.Len(t, receiver.Requests(), 1)

	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	b.drain(engine)
	require.Len(t, receiver.Requests(), 2)
	require.Equal(t, []string{"1:1", "2:m1"}, b.numbers(b.deliveries(id)[0].ID))
}

func TestRedeliver_BelongsToTheEpochInForce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 404})
	engine := b.engine(nil)
	sub := b.subscribe(receiver, func(s *subscription.Spec) { s.Schedule = "none" })
	id := b.enqueue(nil)
	b.drain(engine)
	_, err := b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)

	require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(id)[0].ID))
	b.drain(engine)

	require.Equal(t, "delivered", b.deliveries(id)[0].State)
}

func TestCancel_TheWorkerLeavesACancelledDeliveryAlone(t *testing.T) {
	t.Parallel()
	for name, redeliver := range map[string]bool{"cancelled": false, "and redelivered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			arrived, answer := make(chan struct{}, 2), make(chan struct{})
			receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(r deliverytest.Request) deliverytest.Answer {
				if r.Number > 1 {
					return deliverytest.Answer{}
				}
				arrived <- struct{}{}
				<-answer
				return deliverytest.Answer{Status: 500}
			}})
			b.subscribe(receiver, nil)
			engine := b.engine(nil)
			id := b.enqueue(nil)
			done := make(chan error, 1)
			go func() {
				_, err := engine.RunDue(t.Context())
				done <- err
			}()
			<-arrived
			d := b.deliveries(id)[0].ID
			require.NoError(t, engine.Cancel(t.Context(), d, "sent by mistake"))
			want := []string{"1:1"}
			if redeliver {
				require.NoError(t, engine.Redeliver(t.Context(), d))
				want = append(want, "2:m1")
			}
			close(answer)
			require.NoError(t, <-done)
			b.drainAhead(engine, time.Minute)

			require.Equal(t, want, b.numbers(d))
			after := b.deliveries(id)[0]
			if redeliver {
				require.Equal(t, "delivered", after.State)
				return
			}
			require.Equal(t, "cancelled", after.State)
			require.Equal(t, "sent by mistake", after.Reason)
			require.ErrorIs(t, engine.Cancel(t.Context(), d, "again"), delivery.ErrDeliveryEnded)
			require.ErrorIs(t, engine.Cancel(t.Context(), uuid.New(), "again"), delivery.ErrNotFound)
			require.ErrorContains(t, engine.Cancel(t.Context(), d, ""), "a reason is required")
		})
	}
}
