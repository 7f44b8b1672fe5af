package delivery_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// The failures of one delivery open the circuit that is in its own way.
func TestCircuit_ADeliveryAloneKeepsItsSchedule(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	engine := b.engine(nil)
	r := b.always(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleServo })
	id := b.enqueue(nil)
	start, ended := b.databaseTime(), 15*time.Minute
	var at []time.Duration
	for now := time.Duration(0); now < ended; now = b.databaseTime().Sub(start) {
		b.drain(engine)
		for range len(r.Requests()) - len(at) {
			at = append(at, now.Round(time.Second))
		}
		if b.delivery(id, sub.ID).State != "pending" {
			break
		}
		b.jump(time.Second)
	}

	require.Len(t, at, 12, "%v", at)
	require.LessOrEqual(t, at[11], 3*time.Minute, "%v", at)
	servo := delivery.PresetSchedules()[delivery.ScheduleServo]
	for i, delay := range servo.Delays {
		longest := time.Duration(float64(delay) * (1 + servo.Jitter))
		require.LessOrEqual(t, at[i+1]-at[i], longest+2*time.Second, "%v", at)
	}
	require.Equal(t, "exhausted", b.delivery(id, sub.ID).State)
	require.Positive(t, b.count(`SELECT circuit_opened FROM riverhook.subscription_health`), "it was open all the time")
}

// crowd is a receiver with scripted answers, at first a refusal, that counts the requests in flight.
type crowd struct {
	*deliverytest.Receiver

	status atomic.Int64
	mu     sync.Mutex
	now    int
	most   int
}

func (b *bundle) crowd() *crowd {
	b.t.Helper()
	c := &crowd{}
	c.status.Store(http.StatusBadRequest)
	c.Receiver = b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		c.mu.Lock()
		c.now++
		c.most = max(c.most, c.now)
		c.mu.Unlock()
		b.count(`SELECT 1 FROM pg_sleep(0.02)`) // so long is the way to the endpoint
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
		return deliverytest.Answer{Status: int(c.status.Load())}
	}})
	return c
}

func (c *crowd) atOnce() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.most
	c.most = c.now
	return most
}

// due lets all retries come due in the same moment.
func (b *bundle) due() {
	b.t.Helper()
	b.exec(`UPDATE riverhook.delivery SET due_at = now() WHERE due_at IS NOT NULL`)
	b.exec(`UPDATE riverhook.river_job SET scheduled_at = now(), state = 'available' WHERE state IN ('scheduled', 'available')`)
}

func TestCircuit_NeverTwoProbes(t *testing.T) {
	t.Parallel()
	const events = 6
	b := newBundle(t)
	b.cfg.Maintenance.Interval = 10 * time.Millisecond
	r := b.crowd()
	b.subscribe(r.Receiver, func(spec *subscription.Spec) { spec.Schedule = "hourly" })
	b.enqueueMany("some.event", events)
	b.drain(b.engine(nil))
	require.Len(t, r.Requests(), events)
	r.atOnce()
	attempts := func() int { return b.count(`SELECT coalesce(sum(attempts), 0) FROM riverhook.delivery`) }
	for range 2 {
		b.start(b.engine(nil))
	}

	// In the pause retries are let through, one after the other.
	b.exec(`UPDATE riverhook.subscription_health SET circuit_until = now() + interval '1 h', circuit_opened = 1`)
	r.status.Store(http.StatusInternalServerError)
	b.due()
	b.eventually(func() bool { return attempts() == 2*events })
	require.Equal(t, 1, r.atOnce())

	// After it as well, and no first attempt beside them.
	b.endPause()
	b.enqueueMany("some.event", events)
	b.due()
	b.eventually(func() bool { return attempts() >= 3*events })
	require.Equal(t, 1, r.atOnce())
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE circuit_opened > 1`))

	r.status.Store(http.StatusOK)
	b.endPause()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE circuit_opened > 0`) == 0
	})
	b.due()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 2*events
	})
}

// Where several retries wait, the one that was due first goes first.
func TestCircuit_TheEarliestRetryIsItsProbe(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, engine := b.receiver(nil), b.engine(nil)
	r.Script(slices.Repeat([]deliverytest.Answer{{Status: 500}}, 8)...)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "hourly" })
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = b.enqueue(nil)
		b.drain(engine)
	}
	first := b.enqueue(nil)
	b.exec(`UPDATE riverhook.subscription_health SET circuit_until = now() + interval '9 h',
		probe_id = $1, probe_until = now() + interval '1 h'`, uuid.New())
	for i, id := range ids { // the last was due first
		b.exec(`UPDATE riverhook.delivery d SET due_at = now() - $2 * interval '1 s'
			FROM riverhook.intent i WHERE i.id = d.intent_id AND i.wire_id = $1`, id, i+1)
	}
	b.exec(`UPDATE riverhook.river_job SET scheduled_at = now() WHERE state IN ('scheduled', 'available')`)
	b.drain(engine)
	require.Equal(t, 6, b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'circuit'`), "another is the probe")
	require.Len(t, r.Requests(), 5)

	b.exec(`UPDATE riverhook.subscription_health SET probe_until = now()`) // it is lost
	b.drain(engine)

	got := make([]string, 0, 5)
	for _, req := range r.Requests()[5:] {
		got = append(got, req.ID())
	}
	slices.Reverse(ids)
	require.Equal(t, append(slices.Clone(ids[:4]), first)[:4], got[:4], "three that fail, and the one that closes the circuit")
	require.ElementsMatch(t, append(slices.Clone(ids), first), append(slices.Clone(got[3:]), ids[:3]...))
	require.Equal(t, "delivered", b.delivery(first, sub.ID).State)
}

func TestCircuit_AWaitThatWasAskedForLetsNoRetryThrough(t *testing.T) {
	t.Parallel()
	after := func(value string) http.Header { return http.Header{"Retry-After": {value}} }
	for name, c := range map[string]struct {
		answer deliverytest.Answer
		setting,
		wait time.Duration
	}{
		"429": {answer: deliverytest.Answer{Status: 429}, wait: time.Minute},
		"503": {answer: deliverytest.Answer{Status: 503}, wait: time.Minute},
		"503, by the setting": {
			answer:  deliverytest.Answer{Status: 503},
			setting: 5 * time.Minute,
			wait:    5 * time.Minute,
		},
		"503 with what is no time":    {answer: deliverytest.Answer{Status: 503, Header: after("soon")}, wait: time.Minute},
		"503 with Retry-After":        {answer: deliverytest.Answer{Status: 503, Header: after("3600")}, wait: time.Hour},
		"503 with a short one":        {answer: deliverytest.Answer{Status: 503, Header: after("7")}, wait: 7 * time.Second},
		"503 that asks for no wait":   {answer: deliverytest.Answer{Status: 503, Header: after("0")}},
		"502":                         {answer: deliverytest.Answer{Status: 502}},
		"another with Retry-After":    {answer: deliverytest.Answer{Status: 400, Header: after("90")}, wait: 90 * time.Second},
		"one that takes it and waits": {answer: deliverytest.Answer{Header: after("90")}, wait: 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.cfg.ThrottleWait = c.setting
			r, engine := b.receiver(nil), b.engine(nil)
			r.Script(deliverytest.Answer{Status: 500}, c.answer)
			sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "seconds" })
			first := b.enqueue(nil)
			b.drain(engine)
			second := b.enqueue(nil)
			b.drain(engine)
			require.Len(t, r.Requests(), 2)

			third := b.enqueue(nil)
			margin := min(c.wait/2, 20*time.Second) // a busy machine
			if c.wait > 0 {
				b.pass(c.wait - margin)
				b.drain(engine)
				require.Len(t, r.Requests(), 2)
				require.Equal(t, "circuit", b.delivery(first, sub.ID).Hold)
				require.Equal(t, "circuit", b.delivery(third, sub.ID).Hold)
			}
			b.pass(margin + 2*time.Second)
			b.drain(engine)
			b.drain(engine)

			for _, id := range []string{first, second, third} {
				require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
			}
		})
	}
}

// The record of an answer can have to wait; what is read meanwhile does not know of it.
func TestCircuit_HoldsWhatIsReadBeforeAWaitIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"3600"}}})
	sub := b.subscribe(r, nil).ID
	engine := b.start(b.engine(nil))
	first := b.enqueue(nil)
	b.wait(r, 1)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.delivery FOR UPDATE`)
	require.NoError(t, err)
	release()
	b.eventually(func() bool { return engine.InSlot(sub) == 0 })

	second := b.enqueue(nil)
	b.eventually(func() bool {
		found := b.deliveries(second)
		return len(found) == 1 && (found[0].Hold == "circuit" || found[0].State == "delivered")
	})
	require.NoError(t, tx.Rollback(t.Context()))

	b.eventually(func() bool { return len(b.history(first)) == 1 })
	require.Len(t, r.Requests(), 1)
}
