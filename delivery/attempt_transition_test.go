package delivery_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// attemptRow is what a test asks of an attempt.
type attemptRow struct {
	Number    int
	Outcome   string
	Status    int
	Error     string
	Request   map[string]string
	Response  map[string]string
	Body      []byte
	Truncated bool
	Engine    string
}

// attempts returns the attempts of a delivery, in order.
func (b *bundle) attempts(id uuid.UUID) []attemptRow {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT number, outcome, status, error, request_headers, response_headers, response_body, response_truncated, engine
		FROM riverhook.attempt WHERE delivery_id = $1 ORDER BY seq`, id)
	require.NoError(b.t, err)
	defer rows.Close()
	var out []attemptRow
	for rows.Next() {
		var a attemptRow
		require.NoError(b.t, rows.Scan(&a.Number, &a.Outcome, &a.Status, &a.Error, &a.Request, &a.Response, &a.Body, &a.Truncated, &a.Engine))
		out = append(out, a)
	}
	require.NoError(b.t, rows.Err())
	return out
}

// dueIn is how long a delivery waits for its next attempt.
func (b *bundle) dueIn(id uuid.UUID) time.Duration {
	b.t.Helper()
	ms := b.count(`SELECT (extract(epoch FROM due_at - now()) * 1000)::bigint FROM riverhook.delivery WHERE id = $1`, id)
	return time.Duration(ms) * time.Millisecond
}

// Each answer that an endpoint can give, to a subscription of its own of one
// intent: what is recorded, and what follows.
func TestAttempt_WhatFollowsFromEachAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	elsewhere := b.receiver(nil)
	away := http.Header{"Location": {elsewhere.URL()}}
	wait := http.Header{"Retry-After": {"7200"}}
	const hour = time.Hour
	breaksOff := func(status int) deliverytest.Answer {
		return deliverytest.Answer{
			Status:   status,
			Body:     []byte("par"),
			Truncate: true,
		}
	}
	garbage := deliverytest.Answer{Raw: []byte("SSH-2.0-OpenSSH\r\n")}
	drips := deliverytest.Answer{
		Status: 200,
		Body:   []byte("."),
		Drip:   10 * time.Millisecond,
	}
	answer := func(status int) deliverytest.Answer { return deliverytest.Answer{Status: status} }
	asking := func(status int, header http.Header) deliverytest.Answer {
		return deliverytest.Answer{Status: status, Header: header}
	}
	cases := map[string]struct {
		answer  deliverytest.Answer
		outcome string
		state   string
		wait    time.Duration
		error   string
	}{
		"200":                         {answer(200), "delivered", "delivered", 0, ""},
		"201":                         {answer(201), "delivered", "delivered", 0, ""},
		"204":                         {answer(204), "delivered", "delivered", 0, ""},
		"299":                         {answer(299), "delivered", "delivered", 0, ""},
		"200 that breaks off":         {breaksOff(200), "delivered", "delivered", 0, ""},
		"200 that never ends":         {drips, "timeout", "pending", hour, "body: "},
		"301":                         {asking(301, away), "redirected", "pending", hour, ""},
		"302":                         {asking(302, away), "redirected", "pending", hour, ""},
		"302 to what is no URL":       {asking(302, http.Header{"Location": {"http://[::1"}}), "redirected", "pending", hour, ""},
		"304":                         {answer(304), "redirected", "pending", hour, ""},
		"307":                         {asking(307, away), "redirected", "pending", hour, ""},
		"307 to what is no URL":       {asking(307, http.Header{"Location": {"http://[::1"}}), "redirected", "pending", hour, ""},
		"308":                         {asking(308, away), "redirected", "pending", hour, ""},
		"400":                         {answer(400), "rejected", "pending", hour, ""},
		"400 with Retry-After":        {asking(400, wait), "throttled", "pending", 2 * hour, ""},
		"401":                         {answer(401), "rejected", "pending", hour, ""},
		"404":                         {answer(404), "rejected", "pending", hour, ""},
		"410":                         {answer(410), "gone", "cancelled", 0, ""},
		"422":                         {answer(422), "rejected", "pending", hour, ""},
		"429":                         {answer(429), "throttled", "pending", hour, ""},
		"429 with Retry-After":        {asking(429, wait), "throttled", "pending", 2 * hour, ""},
		"500":                         {answer(500), "failed", "pending", hour, ""},
		"500 that breaks off":         {breaksOff(500), "failed", "pending", hour, ""},
		"501":                         {answer(501), "failed", "pending", hour, ""},
		"502":                         {answer(502), "throttled", "pending", hour, ""},
		"503":                         {answer(503), "throttled", "pending", hour, ""},
		"503 with a short wait":       {asking(503, http.Header{"Retry-After": {"9"}}), "throttled", "pending", hour, ""},
		"503 with a year":             {asking(503, http.Header{"Retry-After": {"31536000"}}), "throttled", "pending", 24 * hour, ""},
		"504":                         {answer(504), "throttled", "pending", hour, ""},
		"599":                         {answer(599), "failed", "pending", hour, ""},
		"600":                         {answer(600), "failed", "pending", hour, "protocol: "},
		"nothing, closed":             {deliverytest.Answer{Close: true}, "unreachable", "pending", hour, "closed: "},
		"nothing, ever":               {deliverytest.Answer{Hang: true}, "timeout", "pending", hour, "timeout: "},
		"nothing, reset":              {deliverytest.Answer{Reset: true}, "unreachable", "pending", hour, "reset: "},
		"something that is no answer": {garbage, "failed", "pending", hour, "protocol: "},
	}
	subs := map[string]uuid.UUID{}
	receivers := map[string]*deliverytest.Receiver{}
	for name, c := range cases {
		receivers[name] = b.always(c.answer)
		subs[name] = b.subscribe(receivers[name], func(spec *subscription.Spec) {
			spec.Schedule, spec.Timeout = "twice", time.Second
		}).ID
	}

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	for name, c := range cases {
		d := b.delivery(id, subs[name])
		require.Equal(t, c.state, d.State, name)
		require.Equal(t, 1, d.Attempts, name)
		require.Len(t, receivers[name].Requests(), 1, name)
		attempts := b.attempts(d.ID)
		require.Len(t, attempts, 1, name)
		require.Equal(t, c.outcome, attempts[0].Outcome, name)
		require.Equal(t, c.answer.Status, attempts[0].Status, name)
		require.Truef(t, strings.HasPrefix(attempts[0].Error, c.error), "%s: %q", name, attempts[0].Error)
		require.Equal(t, c.error == "", attempts[0].Error == "", name)
		if c.state == "pending" {
			require.InDelta(t, c.wait, b.dueIn(d.ID), float64(time.Minute), name)
		}
	}
	require.Empty(t, elsewhere.Requests(), "no redirect is followed")
}

func TestAttempt_WhatFollowsWhenNoRequestCanBeMade(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	closed := b.receiver(nil)
	closed.Close()
	untrusted := b.receiver(&deliverytest.ReceiverConfig{TLS: true})
	subscribe := func(url string) uuid.UUID {
		created, err := b.subs.Create(t.Context(), subscription.Spec{
			URL:      url,
			Events:   []string{"**"},
			Owner:    "owner",
			Schedule: "twice",
		})
		require.NoError(t, err)
		return created.ID
	}
	refused, tls := subscribe(closed.URL()), subscribe(untrusted.URL())
	closedTLS := subscribe(strings.Replace(b.receiver(nil).URL(), "http:", "https:", 1))

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	for sub, want := range map[uuid.UUID]string{
		refused:   "refused: connection refused",
		tls:       "tls: ",
		closedTLS: "tls: ",
	} {
		d := b.delivery(id, sub)
		require.Equal(t, "pending", d.State)
		require.Equal(t, "unreachable", d.Outcome)
		require.Contains(t, b.attempts(d.ID)[0].Error, want)
	}
}

func TestEgress_AnAddressThatThePolicyRefusesIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(&deliverytest.ReceiverConfig{TLS: true})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	strict, err := egress.New(&egress.Config{AnyPort: true})
	require.NoError(t, err)

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Egress = strict }))

	require.Empty(t, r.Requests())
	require.Equal(t, []string{"blocked"}, b.history(id))
	require.NotContains(t, b.attempts(b.deliveries(id)[0].ID)[0].Error, "127.0.0.1", "the owner is not told what was resolved")
}

func TestSchedule_ADeliveryIsTriedAsOftenAsItSaysAndThenExhausted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: 400})
	b.subscribe(r, nil)

	id := b.enqueue(nil)
	b.drainAhead(b.engine(nil), time.Minute)

	require.Len(t, r.Requests(), 4)
	d := b.deliveries(id)[0]
	require.Equal(t, "exhausted", d.State)
	require.Equal(t, "all 4 attempts of the schedule have failed", d.Reason)
	for i, a := range b.attempts(d.ID) {
		require.Equal(t, i+1, a.Number)
	}
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE finalized_at IS NULL`))
}

func TestSchedule_NoneIsOneAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone })

	id := b.enqueue(nil)
	b.drainAhead(b.engine(nil), 24*time.Hour)

	require.Len(t, r.Requests(), 1)
	require.Equal(t, "exhausted", b.deliveries(id)[0].State)
}

func TestSchedule_ASubscriptionThatNamesNoneHasTheStandardOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 400}, deliverytest.Answer{Status: 400})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "" })
	engine := b.engine(nil)

	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0].ID
	require.InDelta(t, 5*time.Second, b.dueIn(d), float64(1200*time.Millisecond))
	b.pass(6 * time.Second)
	b.drain(engine)

	require.InDelta(t, 5*time.Minute, b.dueIn(d), float64(time.Minute+time.Second))
}

func TestSchedule_OneThatThisProcessLacksWaitsForAProcessThatHasIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Schedules = nil }))
	require.Empty(t, r.Requests())
	require.Equal(t, `no schedule "soon" in the process that tried`, b.deliveries(id)[0].Reason)
	b.pass(time.Minute)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 1)
	require.Equal(t, []string{"delivered"}, b.history(id))
}

func TestCircuit_NothingGoesToAnEndpointWhileItAsksToWait(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]deliverytest.Answer{
		"with seconds":   {Status: 503, Header: http.Header{"Retry-After": {"600"}}},
		"with a date":    {Status: 429, Header: http.Header{"Retry-After": {"date"}}},
		"with a success": {Status: 200, Header: http.Header{"Retry-After": {"600"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			if asks.Header.Get("Retry-After") == "date" { // that of when the test runs
				asks.Header.Set("Retry-After", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			}
			r.Script(asks)
			sub := b.subscribe(r, nil)
			other := b.receiver(nil)
			b.subscribe(other, nil)
			engine := b.engine(nil)

			first := b.enqueue(nil)
			b.drain(engine)
			second := b.enqueue(nil)
			b.drainAhead(engine, 8*time.Minute)
			require.Len(t, r.Requests(), 1)
			require.Len(t, other.Requests(), 2, "another endpoint has not asked")
			require.Equal(t, "pending", b.delivery(second, sub.ID).State)
			require.Zero(t, b.delivery(second, sub.ID).Attempts)

			b.pass(11 * time.Minute)
			b.drainAhead(engine, time.Minute)
			b.pass(11 * time.Minute)
			b.drainAhead(engine, time.Minute)

			require.Equal(t, "delivered", b.delivery(first, sub.ID).State)
			require.Equal(t, "delivered", b.delivery(second, sub.ID).State)
		})
	}
}

func TestCircuit_ASuccessCutsNoWaitShortThatAnotherAnswerHasAskedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	underWay, recorded := make(chan struct{}), make(chan struct{})
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(req deliverytest.Request) deliverytest.Answer {
		switch req.ID() {
		case "first":
			return deliverytest.Answer{Status: 400} // from now on it is failing
		case "asks":
			<-underWay
			return deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"600"}}}
		case "succeeds":
			close(underWay)
			<-recorded
		}
		return deliverytest.Answer{}
	}})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	engine := b.engine(nil)
	event := func(id string) { b.enqueue(func(in *outbox.Intent) { in.ID = id }) }
	event("first")
	b.drain(engine)

	event("asks")
	event("succeeds")
	var drained sync.WaitGroup
	drained.Go(func() { b.drain(engine) })
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'throttled'`) == 1 })
	close(recorded)
	drained.Wait()
	event("late")
	b.drain(engine)

	require.Equal(t, "delivered", b.deliveries("succeeds")[0].State)
	require.Len(t, r.Requests(), 3)
	require.Equal(t, "circuit", b.deliveries("late")[0].Hold)
}

// An endpoint that refuses one request is there again: the others need not wait.
func TestProbe_OneThatIsRefusedClosesTheCircuit(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, _ := b.rejecting()
	engine := b.engine(nil)
	for range 5 {
		r.Script(deliverytest.Answer{Status: 500})
		b.enqueue(nil)
		b.drain(engine)
	}
	probe, next := b.enqueue(nil), b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, "circuit", b.deliveries(probe)[0].Hold)
	b.pass(time.Minute)
	b.drain(engine)

	require.Equal(t, []string{"rejected"}, b.history(probe))
	require.Equal(t, []string{"rejected"}, b.history(next))
}

func TestDeactivate_A410DeactivatesTheSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 410})
	sub := b.subscribe(r, nil)
	told := make(chan delivery.SubscriptionEvent, 10)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Hooks.SubscriptionDeactivated = func(_ context.Context, ev delivery.SubscriptionEvent) { told <- ev }
	})

	first := b.enqueue(nil)
	b.drain(engine)
	second := b.enqueue(nil)
	b.drain(engine)

	require.Len(t, r.Requests(), 1)
	require.Equal(t, "the endpoint answered 410 Gone", b.deliveries(first)[0].Reason)
	require.Equal(t, subscription.StateDeactivated, b.subscription(sub.ID).State)
	require.Equal(t, "the endpoint answered 410 Gone", b.subscription(sub.ID).StateReason)
	require.Len(t, told, 1)
	require.Equal(t, sub.ID, (<-told).SubscriptionID)
	require.Equal(t, [2]string{"inactive", "the subscription is deactivated: the endpoint answered 410 Gone"}, b.decisions(second)[sub.ID])
}

func TestSend_ASubscriptionsOwnTimeoutBoundsItsRequests(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true}, deliverytest.Answer{Hang: true})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule, spec.Timeout = "twice", time.Second })
	engine := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Request = time.Minute })

	id := b.enqueue(nil)
	b.drain(engine)
	b.pass(time.Hour)
	b.drain(engine)

	require.Equal(t, []string{"timeout", "timeout"}, b.history(id))
	require.InDelta(t, 1_000_000, b.count(`SELECT max(duration_us) FROM riverhook.attempt`), 900_000)
}

func TestSend_TheEnginesTimeoutBoundsTheRequestsOfTheOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Request = 50 * time.Millisecond }))

	require.Equal(t, []string{"timeout"}, b.history(id))
}

func TestSend_HeadersOfTheSubscriptionArriveOnEachAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(spec *subscription.Spec) {
		spec.Headers = map[string]string{"Authorization": "Bearer hunter2", "X-Tenant": "noaa"}
	})

	b.enqueue(nil)
	b.drainAhead(b.engine(nil), time.Minute)

	require.Len(t, r.Requests(), 2)
	for _, req := range r.Requests() {
		require.Equal(t, "Bearer hunter2", req.Header.Get("Authorization"))
		require.Equal(t, "noaa", req.Header.Get("X-Tenant"))
	}
}

func TestHistory_KeepsTheExchangeWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{
		Status: 418,
		Body:   []byte("short and \x00 stout"),
		Header: http.Header{"Set-Cookie": {"session=hunter3"}, "X-Request-Id": {"r1"}},
	})
	b.subscribe(r, func(spec *subscription.Spec) {
		spec.URL = r.URL() + "/hook?token=hunter4"
		spec.Headers = map[string]string{"Authorization": "Bearer hunter2", "X-Tenant": "hunter5"}
		spec.Schedule = "twice"
	})

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.ID = "engine-7" }))

	a := b.attempts(b.deliveries(id)[0].ID)[0]
	require.Equal(t, "short and \x00 stout", string(a.Body))
	require.False(t, a.Truncated)
	require.Equal(t, "engine-7", a.Engine)
	require.Equal(t, "[redacted]", a.Request["X-Tenant"], "a header of the subscription may be a credential under any name")
	require.Equal(t, "application/json", a.Request["Content-Type"])
	require.Equal(t, id, a.Request["Webhook-Id"])
	require.Equal(t, "[redacted]", a.Request["Authorization"])
	require.Equal(t, "r1", a.Response["X-Request-Id"])
	require.Equal(t, "[redacted]", a.Response["Set-Cookie"])
	require.Equal(t, r.URL()+"/hook?redacted", b.text(`SELECT url FROM riverhook.attempt`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.attempt a WHERE a::text LIKE '%hunter%'`))
	require.Equal(t, "/hook?token=hunter4", r.Requests()[0].Path)
}

func TestHistory_KeepsTheStartOfALongAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setting, size, kept int
	}{
		"16 KiB by default, fits":     {0, 16 << 10, 16 << 10},
		"16 KiB by default, too long": {0, 16<<10 + 1, 16 << 10},
		"much too long":               {0, 10 << 20, 16 << 10},
		"nothing":                     {-1, 10, 0},
		"more than is read otherwise": {100 << 10, 200 << 10, 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			body := bytes.Repeat([]byte("0123456789abcdef"), c.size/16+1)[:c.size]
			r.Script(deliverytest.Answer{Body: body})
			b.subscribe(r, nil)

			id := b.enqueue(nil)
			b.drain(b.engine(func(cfg *delivery.Config) { cfg.Limits.ResponseBytes = c.setting }))

			d := b.deliveries(id)[0]
			require.Equal(t, "delivered", d.State)
			a := b.attempts(d.ID)[0]
			require.True(t, bytes.Equal(body[:c.kept], a.Body), "%d bytes", len(a.Body))
			require.Equal(t, c.kept < c.size, a.Truncated)
		})
	}
}
