package delivery_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/subscription"
)

func hourly(spec *subscription.Spec) { spec.Schedule = "hourly" }

func TestRedeliver_EndsTheWaitForTheSchedule(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, engine := b.receiver(nil), b.engine(nil)
	r.Script(deliverytest.Answer{Status: 404}, deliverytest.Answer{Status: 404})
	sub := b.subscribe(r, hourly)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.delivery(id, sub.ID).ID
	due := func() time.Duration { return b.dueIn(d).Round(time.Hour) }
	require.Equal(t, time.Hour, due())

	require.NoError(t, engine.Redeliver(t.Context(), d))
	require.ErrorIs(t, engine.Redeliver(t.Context(), d), delivery.ErrDeliveryPending, "it is due")
	require.Zero(t, due())
	b.drain(engine)
	require.Equal(t, time.Hour, due(), "the schedule goes on")
	require.NoError(t, engine.Redeliver(t.Context(), d))
	b.drain(engine)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Equal(t, []string{"1:1", "1:2", "1:3"}, b.numbers(d))
	b.due() // the jobs of the waits that were ended find nothing to do
	b.drain(engine)
	require.Len(t, r.Requests(), 3)
}

// asksToWait is an endpoint that opens its circuit, or asks for an hour, and holds a
// delivery. The next answer is a success.
func (b *bundle) asksToWait(asks bool) (r *deliverytest.Receiver, sub uuid.UUID, ids []string) {
	b.t.Helper()
	r, engine := b.receiver(nil), b.engine(nil)
	if asks {
		r.Script(deliverytest.Answer{Status: 503, Header: http.Header{"Retry-After": {"3600"}}})
	} else {
		for range 5 {
			r.Script(deliverytest.Answer{Status: 500})
		}
	}
	sub = b.subscribe(r, hourly).ID
	for len(ids) == 0 || b.delivery(ids[len(ids)-1], sub).Hold == "" {
		ids = append(ids, b.enqueue(nil))
		b.drain(engine)
	}
	ids = append(ids, b.enqueue(nil))
	b.drain(engine)
	require.Equal(b.t, "circuit", b.delivery(ids[len(ids)-1], sub).Hold)
	return r, sub, ids
}

func TestRedeliver_PassesTheCircuit(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]bool{"that failures opened": false, "that the endpoint asked for": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, sub, ids := b.asksToWait(asks)
			engine := b.engine(nil)
			before := len(r.Requests())
			held, last := ids[len(ids)-2], ids[len(ids)-1]
			b.exec(`UPDATE riverhook.subscription_health SET circuit_until = now() + interval '1 h' WHERE circuit_until IS NOT NULL`)
			b.exec(`UPDATE riverhook.subscription_health SET probe_id = $1, probe_until = now() + interval '1 h'`, uuid.New())
			r.Script(deliverytest.Answer{Status: 500})

			require.NoError(t, engine.Redeliver(t.Context(), b.delivery(held, sub).ID))
			b.drain(engine)
			require.Len(t, r.Requests(), before+1)
			require.Equal(t, []string{"failed"}, b.history(held))
			require.Equal(t, "circuit", b.delivery(last, sub).Hold, "a failure changes nothing for the others")

			require.NoError(t, engine.Redeliver(t.Context(), b.delivery(last, sub).ID))
			b.drain(engine)
			b.drain(engine)
			require.Equal(t, "delivered", b.delivery(last, sub).State)
			if asks {
				id := b.enqueue(nil)
				b.due()
				b.drain(engine)
				require.Len(t, r.Requests(), before+2, "what the endpoint has asked for holds for the others, and for the next retry")
				require.Equal(t, "circuit", b.delivery(held, sub).Hold)
				require.Equal(t, "circuit", b.delivery(id, sub).Hold)
				return
			}
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold <> ''`), "its success closes the circuit")
		})
	}
}

// A new round is as urgent: a person wants it now.
func TestRedeliver_ANewRoundPassesTheCircuit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, sub, ids := b.asksToWait(true)
	engine := b.engine(nil)
	held := b.delivery(ids[len(ids)-1], sub).ID
	require.NoError(t, engine.Cancel(t.Context(), held, "not now"))

	require.NoError(t, engine.Redeliver(t.Context(), held))
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(ids[len(ids)-1], sub).State)
	require.Equal(t, []string{"2:m1"}, b.numbers(held))

	// A recovery is not: it is of many.
	before := len(r.Requests())
	_, err := engine.Recover(t.Context(), sub, &delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryDelivered}})
	require.NoError(t, err)
	b.drain(engine)
	require.Len(t, r.Requests(), before)
}

func TestRedeliver_LeavesWhatAPauseHolds(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, engine := b.receiver(nil), b.engine(nil)
	r.Script(deliverytest.Answer{Status: 404})
	sub := b.subscribe(r, hourly)
	retried := b.enqueue(nil)
	b.drain(engine)
	_, err := b.subs.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	held := b.enqueue(nil)
	b.drain(engine)

	for _, id := range []string{retried, held} {
		require.ErrorIs(t, engine.Redeliver(t.Context(), b.delivery(id, sub.ID).ID), delivery.ErrDeliveryPending)
	}
	b.drain(engine)
	require.Len(t, r.Requests(), 1)

	_, err = b.subs.Activate(t.Context(), sub.ID, &subscription.ActivateOpts{DropHeld: true})
	require.NoError(t, err)
	require.Equal(t, "cancelled", b.delivery(held, sub.ID).State)
	require.NoError(t, engine.Redeliver(t.Context(), b.delivery(retried, sub.ID).ID), "a pause did not hold it")
	b.drain(engine)
	require.Equal(t, "delivered", b.delivery(retried, sub.ID).State)
}

// It is about to end, as that of an earlier epoch.
func TestRedeliver_OpensARoundOfWhatADeactivationLeftPending(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, engine := b.receiver(nil), b.engine(nil)
	r.Script(deliverytest.Answer{Status: 404})
	sub := b.subscribe(r, hourly)
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.delivery(id, sub.ID).ID
	_, err := b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)
	require.ErrorIs(t, engine.Redeliver(t.Context(), d), delivery.ErrSubscriptionDeactivated)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)

	require.NoError(t, engine.Redeliver(t.Context(), d))
	b.drain(engine)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Equal(t, []string{"1:1", "2:m1"}, b.numbers(d))
}

// What is under way is neither sent twice nor fenced off.
func TestRedeliver_LeavesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	sub := b.subscribe(r, nil).ID
	engine := b.start(b.engine(nil))
	id := b.enqueue(nil)
	b.wait(r, 1)
	d := b.delivery(id, sub).ID

	require.ErrorIs(t, engine.Redeliver(t.Context(), d), delivery.ErrDeliveryPending)
	release()

	b.eventually(func() bool { return b.delivery(id, sub).State == "delivered" })
	require.Len(t, r.Requests(), 1)
}

// Redeliver waits for the row, and what waited for its time is under way by then.
func TestRedeliver_LeavesWhatBecameDueMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, hourly).ID
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.delivery(id, sub).ID
	b.exec(`UPDATE riverhook.delivery SET due_at = now() + interval '1 second'`)
	locked, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer locked.Rollback(context.Background())
	_, err = locked.Exec(t.Context(), `SELECT FROM riverhook.delivery FOR UPDATE`)
	require.NoError(t, err)
	redelivered := make(chan error, 1)

	go func() { redelivered <- engine.Redeliver(context.Background(), d) }()
	pgtest.RequireWaiting(t, b.pool, 1)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE due_at < clock_timestamp()`) == 1
	})
	require.NoError(t, locked.Rollback(t.Context()))

	require.ErrorIs(t, <-redelivered, delivery.ErrDeliveryPending)
}
