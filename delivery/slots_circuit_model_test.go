package delivery_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// judge is an endpoint that looks, at each request, whether it may be made.
type judge struct {
	b *bundle
	r *deliverytest.Receiver

	mu     sync.Mutex
	answer deliverytest.Answer
	wrong  []string
	came   int
}

// newJudge judges requests while no other is under way and no record of one either.
func newJudge(b *bundle) *judge {
	j := &judge{b: b}
	j.r = b.receiver(&deliverytest.ReceiverConfig{Answer: j.request})
	return j
}

func (j *judge) request(req deliverytest.Request) deliverytest.Answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.came++
	var asked, paused, trial, probe, retry bool
	err := j.b.pool.QueryRow(context.Background(), `
		SELECT coalesce(c.asked_until > now(), false), coalesce(c.circuit_until > now(), false),
			coalesce(c.circuit_opened > 0 OR c.asked_until IS NOT NULL, false),
			coalesce(c.probe_id = d.id AND c.probe_until > now(), false), d.attempts > 0
		FROM riverhook.intent i JOIN riverhook.delivery d ON d.intent_id = i.id
		JOIN riverhook.subscription s ON s.id = d.subscription_id
		LEFT JOIN riverhook.subscription_circuit c ON c.subscription_id = s.id AND c.epoch = s.epoch
		WHERE i.wire_id = $1 AND s.deleted_at IS NULL`, req.ID()).Scan(&asked, &paused, &trial, &probe, &retry)
	switch {
	case err != nil:
		j.wrong = append(j.wrong, err.Error())
	case asked:
		j.wrong = append(j.wrong, "sent before the wait was over that the endpoint has asked for")
	case trial && !probe:
		j.wrong = append(j.wrong, "sent, while the circuit is not closed, and not as the probe")
	case paused && !retry:
		j.wrong = append(j.wrong, "a first attempt was sent in the pause of the circuit")
	}
	return j.answer
}

func (j *judge) says(answer deliverytest.Answer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answer = answer
}

func (j *judge) verdict() (wrong []string, came int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.wrong, j.came
}

// answers are what an endpoint can say; those that ask it to be left alone apart.
var (
	answers = map[string]deliverytest.Answer{
		"it is well": {}, "it fails": {Status: 500}, "it is out of order": {Status: 502}, "it refuses": {Status: 400},
	}
	waits = map[string]deliverytest.Answer{
		"it asks to wait":         {Status: 429, Header: http.Header{"Retry-After": {"40"}}},
		"it is throttled":         {Status: 503},
		"it takes it, and is hot": {Header: http.Header{"Retry-After": {"25"}}},
	}
)

// checkFor checks a property that takes a database for so long, and at least some times.
func checkFor(t *testing.T, d time.Duration, property func(rt *rapid.T)) {
	t.Helper()
	const least = 5
	started := time.Now()
	done := 0
	failed := false
	rapid.Check(t, func(rt *rapid.T) {
		if done >= least && !failed && time.Since(started) > d {
			return
		}
		defer func() { failed = failed || rt.Failed() }()
		property(rt)
		done++
	})
}

// Two engines, of which each remembers its part, a clock, and an endpoint that does what
// it likes: whatever is sent may be, and in the end all has ended.
func TestCircuit_SendsNothingThatItShouldHold(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	j := newJudge(b)
	engines := []*delivery.Engine{b.engine(nil), b.engine(nil)}
	checkFor(t, 8*time.Second, func(rt *rapid.T) {
		sub := b.subscribe(j.r, func(spec *subscription.Spec) {
			schedules := []string{"seconds", delivery.ScheduleServo, delivery.ScheduleNone}
			spec.Schedule, spec.MaxInFlight = rapid.SampledFrom(schedules).Draw(rt, "schedule"), 1
		})
		defer func() { require.NoError(rt, b.subs.Delete(t.Context(), sub.ID)) }()
		work := func(engine *delivery.Engine) {
			_, err := engine.RunDue(t.Context())
			require.NoError(rt, err)
		}
		actions := map[string]func(*rapid.T){
			"events": func(rt *rapid.T) { b.enqueueMany("some.event", rapid.IntRange(1, 8).Draw(rt, "n")) },
			"time passes": func(rt *rapid.T) {
				b.jump(time.Duration(rapid.IntRange(1, 70).Draw(rt, "s")) * time.Second)
			},
			"work": func(rt *rapid.T) { work(rapid.SampledFrom(engines).Draw(rt, "engine")) },
			"activate": func(rt *rapid.T) {
				_, err := b.subs.Activate(t.Context(), sub.ID, nil)
				require.NoError(rt, err)
			},
			"another URL": func(*rapid.T) { b.moveTo(sub.ID, j.r.URL()+"/"+uuid.NewString()) },
			"": func(rt *rapid.T) {
				wrong, _ := j.verdict()
				require.Empty(rt, wrong)
			},
		}
		for _, said := range []map[string]deliverytest.Answer{answers, waits} {
			for name, answer := range said {
				actions[name] = func(*rapid.T) { j.says(answer) }
			}
		}
		rt.Repeat(actions)

		j.says(deliverytest.Answer{})
		for range 4 { // what has asked to wait is tried first, and releases the others
			b.jump(time.Hour)
			work(engines[0])
			work(engines[1])
		}
		require.Zero(rt, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`))
		wrong, _ := j.verdict()
		require.Empty(rt, wrong)
	})
}

// Whatever its schedule and its failures are, the delivery goes out when it is due,
// in whichever engine.
func TestCircuit_StretchesNoScheduleOfADeliveryAlone(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	j := newJudge(b)
	var delays []time.Duration
	for i := range 12 {
		delays = append(delays, time.Duration(4+i*i)*time.Second) // the shortest is not due within the same RunDue
	}
	b.cfg.Schedules = map[string]delivery.Schedule{"growing": {Delays: delays, Jitter: 0.5}, "steady": {Delays: make([]time.Duration, 12)}}
	for i := range b.cfg.Schedules["steady"].Delays {
		b.cfg.Schedules["steady"].Delays[i] = 16 * time.Second
	}
	engines := []*delivery.Engine{b.engine(nil), b.engine(nil)}
	b.subs = engines[0].Subscriptions()
	checkFor(t, 8*time.Second, func(rt *rapid.T) {
		sub := b.subscribe(j.r, func(spec *subscription.Spec) {
			spec.Schedule = rapid.SampledFrom([]string{"growing", "steady", delivery.ScheduleServo, delivery.ScheduleStandard}).Draw(rt, "schedule")
		})
		defer func() { require.NoError(rt, b.subs.Delete(t.Context(), sub.ID)) }()
		id := b.enqueue(nil)
		for attempt := 1; ; attempt++ {
			_, before := j.verdict()
			j.says(answers[rapid.SampledFrom([]string{"it fails", "it is out of order", "it refuses"}).Draw(rt, "answer")])
			_, err := rapid.SampledFrom(engines).Draw(rt, "engine").RunDue(t.Context())
			require.NoError(rt, err)
			wrong, came := j.verdict()
			require.Empty(rt, wrong)
			require.Equal(rt, before+1, came, "attempt %d", attempt)
			d := b.delivery(id, sub.ID)
			if d.State == "exhausted" {
				break
			}
			require.Equal(rt, []any{"pending", "", attempt}, []any{d.State, d.Hold, d.Attempts})
			b.jump(max(b.dueIn(d.ID), 0) + time.Millisecond)
		}
	})
}
