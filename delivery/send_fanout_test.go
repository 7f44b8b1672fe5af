package delivery_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// unowned makes a patient subscription that an engine without checkers delivers to.
func unowned(spec *subscription.Spec) {
	operatorOnly(spec)
	patient(spec)
}

// Slow endpoints come before the one that answers, which gets its request while none
// of them has answered, in the first run of a job and in a later one.
func TestFanOut_SlowEndpointsDelayNoOther(t *testing.T) {
	t.Parallel()
	const slow = 100
	b := newBundle(t)
	hanging, quick := b.always(deliverytest.Answer{Hang: true}), b.receiver(nil)
	quick.Script(deliverytest.Answer{}, deliverytest.Answer{Hang: true})
	for range slow {
		b.subscribe(hanging, unowned)
	}
	b.subscribe(quick, unowned)
	first := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "first",
	})
	first.awaitStart(t)

	b.enqueue(nil)
	b.wait(quick, 1)
	again := b.enqueue(nil)
	b.wait(quick, 2)
	b.wait(hanging, 2*slow)
	first.kill(t)
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	second := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "second",
	})
	second.awaitStart(t)

	b.wait(quick, 3)
	require.Equal(t, again, quick.Requests()[2].ID())
	second.kill(t)
}

// A fan-out to slow endpoints takes a part of the requests that may be in flight.
func TestFanOut_LeavesRoomForOtherEvents(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hanging, other := b.always(deliverytest.Answer{Hang: true}), b.receiver(nil)
	for range 200 {
		b.subscribe(hanging, func(spec *subscription.Spec) { spec.Events = []string{"slow.event"} })
	}
	b.subscribe(other, func(spec *subscription.Spec) { spec.Events = []string{"user.*"} })
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.InFlight, cfg.Timeouts.Stop = 160, time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.Error(t, engine.Stop(context.Background()), "requests were interrupted") })
	b.enqueue(func(in *outbox.Intent) { in.Type = "slow.event" })
	b.wait(hanging, 137) // 32, and three quarters of 160 without their reserve

	b.enqueue(nil)

	b.wait(other, 1)
	require.Len(t, hanging.Requests(), 137)
}

// The engine ends when it is about to load the message for the first time.
func TestRerun_RecordsBeforeItLoads(t *testing.T) {
	t.Parallel()
	const n = 40
	b := newBundle(t)
	receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(req deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Hang: req.Number <= n}
	}})
	for range n {
		b.subscribe(receiver, unowned)
	}
	task := childTask{Role: "engine", Database: b.pool.Config().ConnString()}
	next := func(id string) *child {
		b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
		task.EngineID = id
		return startChild(t, task)
	}
	engine := next("first")
	b.enqueue(func(in *outbox.Intent) { in.Data = strings.Repeat("d", 20_000) })
	b.wait(receiver, n)
	engine.kill(t)

	task.DieAt = delivery.PointLoading
	require.Error(t, next("second").cmd.Wait(), "it has killed itself")
	require.Positive(t, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'interrupted'`))

	task.DieAt = ""
	last := next("third")
	last.awaitStart(t)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == n })
	last.end(t)
}
