package delivery_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// clockBundle is a bundle on a database whose clock is set by jump.
func clockBundle(t *testing.T) *bundle {
	t.Helper()
	b := bundleOn(t, pgtest.ClockPool(t, 20))
	b.tolerance = 10 * 365 * 24 * time.Hour // of receivers, whose clock is that of this process
	return b
}

// jump sets the database's clock forward, or back.
func (b *bundle) jump(d time.Duration) {
	b.t.Helper()
	pgtest.Jump(b.t, b.pool, d)
}

// databaseTime is the time by the database's clock.
func (b *bundle) databaseTime() (now time.Time) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT now()`).Scan(&now))
	return now
}

// Nothing is sent, released or ended before the database says that it is time,
// and everything soon after.
func TestClock_AnEngineWhoseOwnIsWrongGoesByTheDatabases(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": 2 * time.Hour, "behind": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := clockBundle(t)
			b.jump(-wrong)
			require.InDelta(t, -wrong, time.Until(b.databaseTime()), float64(time.Minute))
			b.cfg.Maintenance.MaxHold = 90 * time.Minute
			failing := b.receiver(nil)
			throttled := b.receiver(nil)
			paused := b.receiver(nil)
			marked := b.receiver(nil)
			failing.Script(deliverytest.Answer{Status: 500})
			throttled.Script(deliverytest.Answer{Status: 503, Header: http.Header{"Retry-After": {"1800"}}})
			twice := func(pattern string) func(spec *subscription.Spec) {
				return func(spec *subscription.Spec) { spec.Events, spec.Schedule = []string{pattern}, "twice" }
			}
			b.subscribe(failing, twice("failing.event"))
			b.subscribe(throttled, twice("throttled.event"))
			pausedID := b.subscribe(paused, twice("paused.event")).ID
			b.subscribe(marked, twice("marker.event"))
			b.pause(pausedID)
			event := func(eventType string) string {
				return b.enqueue(func(in *outbox.Intent) { in.Type = eventType })
			}
			engine := b.start(b.engine(nil))

			retried, held := event("failing.event"), event("paused.event")
			asked := event("throttled.event")
			b.wait(throttled, 1)
			b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.attempt`) == 2 })
			late := event("throttled.event")
			later := b.enqueue(func(in *outbox.Intent) {
				in.Type, in.NotBefore = "marker.event", b.databaseTime().Add(30*time.Minute)
			})
			require.InDelta(t, time.Hour, b.dueIn(b.deliveries(retried)[0].ID), float64(time.Minute))
			if wrong > 0 { // River's leader believes that it is time
				b.eventually(func() bool {
					return b.count(`SELECT count(*) FROM riverhook.river_job WHERE scheduled_at > now() AND state = 'available'`) == 3
				})
			}
			marker := event("marker.event")
			b.wait(marked, 1)
			b.eventually(func() bool { return len(b.deliveries(late)) == 1 })
			require.NoError(t, errors.Join(engine.Heartbeat(t.Context()), engine.Maintain(t.Context())))
			require.Equal(t, marker, marked.Requests()[0].ID())
			require.Len(t, failing.Requests(), 1)
			require.Len(t, throttled.Requests(), 1)
			require.Equal(t, "circuit", b.deliveries(late)[0].Hold)
			require.Equal(t, "paused", b.deliveries(held)[0].Hold)

			b.pass(29 * time.Minute)
			b.activate(pausedID)
			b.wait(paused, 1)
			require.Len(t, marked.Requests(), 1)
			require.Len(t, throttled.Requests(), 1)
			b.pass(31*time.Minute + 16*time.Second) // what River's leader does not see is found by maintenance after 15 s
			b.wait(failing, 2)
			b.wait(throttled, 3)
			b.wait(marked, 2)

			require.Equal(t, later, marked.Requests()[1].ID())
			for _, id := range []string{retried, held, asked, late, later, marker} {
				b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
			}
		})
	}
}

// A job that waits for the database does so by the clock of its process.
func TestClock_AJobThatAWrongOnePutOffIsNotForgotten(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	b.jump(-time.Hour)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	b.start(b.engine(nil))
	b.exec(`ALTER VIEW riverhook.subscription_circuit RENAME TO elsewhere`)
	id := b.enqueue(nil)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.river_job WHERE scheduled_at > now() + interval '59 minutes'`) == 1
	})
	b.exec(`ALTER VIEW riverhook.elsewhere RENAME TO subscription_circuit`)

	b.pass(16 * time.Second)

	b.wait(r, 1)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
}

// The engines hold a request in flight, a retry and an open circuit when the
// database's clock is set forward. One of them looks before the other has beaten.
func TestClock_ThatOfTheDatabaseSetForwardLosesNothing(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	hanging, release := b.hangingFirst(deliverytest.Answer{})
	failing := b.receiver(nil)
	failing.Script(deliverytest.Answer{Status: 500})
	var healthy atomic.Bool
	down := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		if healthy.Load() {
			return deliverytest.Answer{}
		}
		return deliverytest.Answer{Status: 500}
	}})
	b.subscribe(hanging, func(spec *subscription.Spec) { spec.Events = []string{"hanging.event"} })
	b.subscribe(failing, func(spec *subscription.Spec) {
		spec.Events, spec.Schedule = []string{"failing.event"}, "twice"
	})
	b.subscribe(down, func(spec *subscription.Spec) { spec.Events, spec.Schedule = []string{"down.event"}, "patient" })
	first := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = "first" }))
	hung := b.enqueue(func(in *outbox.Intent) { in.Type = "hanging.event" })
	b.wait(hanging, 1)
	second := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = "second" }))
	b.enqueueMany("failing.event", 1)
	b.enqueueMany("down.event", 8)
	b.wait(failing, 1)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE circuit_until > now()`) == 1 &&
			b.count(`SELECT count(*) FROM riverhook.delivery WHERE due_at > now() + interval '59 minutes'`) == 1
	})

	healthy.Store(true)
	b.jump(time.Hour + time.Minute)
	require.NoError(t, second.Heartbeat(t.Context()))
	b.wait(hanging, 2)
	release()

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 10 })
	require.Len(t, hanging.Requests(), 2, "the one that was in flight")
	require.Len(t, failing.Requests(), 2)
	require.Equal(t, "delivered", b.deliveries(hung)[0].State)
	require.Equal(t, 1, b.deliveries(hung)[0].Attempts)
	require.NoError(t, first.Heartbeat(t.Context()))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.engine WHERE heartbeat_at > now() - interval '15 seconds'`))
}

// An engine has died, and its last heartbeat is now in the future.
func TestClock_ThatOfTheDatabaseSetBackKeepsNoDeadEngineAlive(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true})
	b.subscribe(r, nil)
	id := b.enqueue(nil)
	b.exec(`INSERT INTO riverhook.engine (process, id) VALUES ('dead', 'dead')`)
	b.vanish(r, 1)
	require.Equal(t, 1, b.exec(`UPDATE riverhook.river_job SET attempted_by = '{dead}'`))

	b.jump(-time.Hour)
	b.start(b.engine(nil))

	b.wait(r, 2)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.engine`) == 1 })
}
