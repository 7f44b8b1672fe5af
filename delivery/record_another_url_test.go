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
	"github.com/riverhook/riverhook/subscription"
)

// moveTo gives a subscription another URL.
func (b *bundle) moveTo(id uuid.UUID, url string) {
	b.t.Helper()
	_, err := b.subs.Update(b.t.Context(), id, subscription.Update{URL: &url})
	require.NoError(b.t, err)
}

// openCircuit subscribes a receiver whose failures have opened its circuit.
func (b *bundle) openCircuit(engine *delivery.Engine, r *deliverytest.Receiver) uuid.UUID {
	b.t.Helper()
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone }).ID
	for range 5 {
		b.enqueue(nil)
	}
	b.drain(engine)
	h := b.health(engine, sub)
	require.Equal(b.t, 5, h.FailedAttempts)
	require.False(b.t, h.CircuitUntil.IsZero())
	return sub
}

func TestAnotherURL_BeginsWithItsOwnRecord(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bundle, engine *delivery.Engine, sub uuid.UUID, to string){
		"by an update": func(b *bundle, _ *delivery.Engine, sub uuid.UUID, to string) { b.moveTo(sub, to) },
		"by its proof": func(b *bundle, engine *delivery.Engine, sub uuid.UUID, to string) {
			method := subscription.VerificationChallenge
			_, err := b.subs.Update(b.t.Context(), sub, subscription.Update{URL: &to, Verification: &method})
			require.NoError(b.t, err)
			require.Equal(b.t, to, b.subscription(sub).PendingURL)
			require.Equal(b.t, 5, b.health(engine, sub).FailedAttempts, "the former one is in force")
		},
		"by a person who knows it": func(b *bundle, _ *delivery.Engine, sub uuid.UUID, to string) {
			method := subscription.VerificationChallenge
			_, err := b.subs.Update(b.t.Context(), sub, subscription.Update{URL: &to, Verification: &method})
			require.NoError(b.t, err)
			require.NoError(b.t, b.subs.MarkVerified(b.t.Context(), sub, to))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(nil)
			from, to := b.always(deliverytest.Answer{Status: 500}), newProving(t, nil)
			sub := b.openCircuit(engine, from)
			waiting := []string{b.enqueue(nil), b.enqueue(nil)}
			b.drain(engine)
			for _, id := range waiting {
				require.Equal(t, "circuit", b.deliveries(id)[0].Hold)
			}

			change(b, engine, sub, to.URL)
			b.drain(engine)
			b.drain(engine) // what is held is released by the round of maintenance after the proof

			for _, id := range waiting {
				require.Equal(t, "delivered", b.deliveries(id)[0].State)
			}
			require.Len(t, from.Requests(), 5)
			require.Equal(t, delivery.Health{
				State:      subscription.StateActive,
				StateSince: b.subscription(sub).StateSince,
				Epoch:      1,
			},
				b.health(engine, sub))
			require.Equal(t, 2, b.subscription(sub).URLVersion)
		})
	}
}

func TestAnotherURL_FailsAnew(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine, failing, deactivated := b.watched()
	from, to := b.always(deliverytest.Answer{Status: 400}), b.always(deliverytest.Answer{Status: 500})
	sub := b.subscribe(from, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone }).ID
	for range 60 {
		b.enqueue(nil)
	}
	b.drain(engine)
	b.pass(4 * 24 * time.Hour)
	b.moveTo(sub, to.URL())
	b.pass(2 * 24 * time.Hour)
	b.drain(engine)
	require.Empty(t, deactivated, "the former URL has failed 60 times in 6 days")
	require.Empty(t, failing)

	for range 4 {
		b.enqueue(nil)
		b.drain(engine)
	}
	h := b.health(engine, sub)
	require.Equal(t, []int{4, 4}, []int{h.FailedAttempts, h.Exhausted})
	require.True(t, h.CircuitUntil.IsZero())
	require.WithinDuration(t, b.databaseTime(), h.FailingSince, time.Minute)
	b.enqueue(nil)
	b.drain(engine)

	require.False(t, b.health(engine, sub).CircuitUntil.IsZero())
	require.Equal(t, subscription.StateActive, b.subscription(sub).State)
}

func TestAnotherURL_KeepsAWaitOfItsOrigin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	from, elsewhere := b.receiver(nil), b.receiver(nil)
	from.Script(deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"86400"}}})
	sub := b.subscribe(from, nil).ID
	b.enqueue(nil)
	b.drain(engine)
	held := b.enqueue(nil)
	b.drain(engine)

	b.moveTo(sub, from.URL()+"/other")
	activated, err := b.subs.Activate(t.Context(), sub, nil)
	require.NoError(t, err)
	require.False(t, activated)
	b.drain(engine)
	require.Equal(t, "circuit", b.deliveries(held)[0].Hold)
	require.WithinDuration(t, b.databaseTime().Add(24*time.Hour), b.health(engine, sub).CircuitUntil, time.Minute)
	require.Zero(t, b.health(engine, sub).FailedAttempts)
	require.Len(t, from.Requests(), 1)

	b.moveTo(sub, elsewhere.URL())
	b.drain(engine)
	require.Equal(t, "delivered", b.deliveries(held)[0].State)
	require.Len(t, elsewhere.Requests(), 1)
	require.True(t, b.health(engine, sub).CircuitUntil.IsZero())
}

// A request is under way to the former URL when another comes in force.
func TestAnotherURL_IsNotOnTrialAfterAWaitThatTheFormerOneAskedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"40"}}}, deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleNone }).ID
	b.enqueue(nil)
	b.drain(engine)
	b.moveTo(sub, r.URL()+"/other")
	b.pass(time.Minute)

	b.enqueue(nil)
	b.drain(engine)

	require.Len(t, r.Requests(), 2)
	require.Equal(t, 1, b.health(engine, sub).FailedAttempts)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_circuit WHERE asked_until IS NOT NULL OR circuit_opened > 0`))
}

func TestAnotherURL_LateAnswersOfTheFormerOne(t *testing.T) {
	t.Parallel()
	after := http.Header{"Retry-After": {"3600"}}
	for name, c := range map[string]struct {
		answer   deliverytest.Answer
		schedule string
		state    string
		history  []string
	}{
		"410":             {deliverytest.Answer{Status: 410}, "twice", "delivered", []string{"gone", "delivered"}},
		"failure":         {deliverytest.Answer{Status: 500}, "twice", "pending", []string{"failed"}},
		"last failure":    {deliverytest.Answer{Status: 500}, delivery.ScheduleNone, "delivered", []string{"failed", "delivered"}},
		"success":         {deliverytest.Answer{}, "twice", "delivered", []string{"delivered"}},
		"wait":            {deliverytest.Answer{Status: 429, Header: after}, "twice", "pending", []string{"throttled"}},
		"success to wait": {deliverytest.Answer{Header: after}, "twice", "delivered", []string{"delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(nil)
			from, release := b.hangingFirst(c.answer)
			to := b.receiver(nil)
			to.Script(deliverytest.Answer{Status: 400}, deliverytest.Answer{Status: 400})
			sub := b.subscribe(from, func(spec *subscription.Spec) { spec.Schedule = c.schedule }).ID
			id := b.enqueue(nil)
			over := b.underWay(engine, from)
			b.moveTo(sub, to.URL())
			other := b.engine(nil)
			b.exec(`UPDATE riverhook.subscription SET schedule = 'none'`)
			b.enqueue(nil)
			b.enqueue(nil)
			b.drain(other)
			require.Equal(t, 2, b.health(engine, sub).FailedAttempts)
			b.exec(`UPDATE riverhook.subscription SET schedule = $1`, c.schedule)

			release()
			<-over
			h := b.health(engine, sub)
			require.Equal(t, 2, h.FailedAttempts, "neither for nor against")
			require.True(t, h.CircuitUntil.IsZero())
			require.NoError(t, engine.Maintain(t.Context()))
			require.Equal(t, subscription.StateActive, b.subscription(sub).State)
			b.pass(time.Second)
			b.drain(engine)

			require.Equal(t, c.state, b.deliveries(id)[0].State)
			require.Equal(t, c.history, b.history(id))
			require.Len(t, from.Requests(), 1)
		})
	}
}

func TestAnotherURL_IsNotGoneWithTheFormerOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	from, to := b.always(deliverytest.Answer{Status: 410}), b.receiver(nil)
	sub := b.subscribe(from, nil).ID
	b.cfg.Hooks.SubscriptionDeactivated = func(context.Context, delivery.SubscriptionEvent) {}
	engine := b.engine(nil)
	b.enqueue(nil)
	over := b.underWay(engine, from)
	<-over
	require.Equal(t, subscription.StateDeactivated, b.subscription(sub).State)
	b.activate(sub)
	b.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, gone_at, failing_since, failed_attempts)
		VALUES ($1, 2, now(), now(), 1)`, sub) // recorded, and not judged yet

	b.moveTo(sub, to.URL())
	id := b.enqueue(nil)
	b.drain(engine)

	require.Equal(t, subscription.StateActive, b.subscription(sub).State)
	require.Equal(t, "delivered", b.deliveries(id)[len(b.deliveries(id))-1].State)
}

func TestActivate_ClosesACircuitThatFailuresOpened(t *testing.T) {
	t.Parallel()
	for name, activate := range map[string]func(b *bundle, sub uuid.UUID){
		"of a subscription that is active": func(b *bundle, sub uuid.UUID) {
			changed, err := b.subs.Activate(b.t.Context(), sub, nil)
			require.NoError(b.t, err)
			require.False(b.t, changed)
			require.Equal(b.t, 5, b.health(b.engine(nil), sub).FailedAttempts, "nothing else changes")
		},
		"of one that is paused": func(b *bundle, sub uuid.UUID) { b.pause(sub); b.activate(sub) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(nil)
			r := b.receiver(nil)
			for range 5 {
				r.Script(deliverytest.Answer{Status: 500})
			}
			sub := b.openCircuit(engine, r)
			held := b.enqueue(nil)
			b.drain(engine)
			require.Equal(t, "circuit", b.deliveries(held)[0].Hold)

			activate(b, sub)
			require.True(t, b.health(engine, sub).CircuitUntil.IsZero())
			b.drain(engine)

			require.Equal(t, "delivered", b.deliveries(held)[0].State)
		})
	}
}

// A deactivation begins another epoch, and a wait is of the endpoint, not of an epoch.
func TestActivate_KeepsAWaitThatTheEndpointHasAskedFor(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(b *bundle, sub uuid.UUID){
		"of a subscription that is active": func(b *bundle, sub uuid.UUID) {
			_, err := b.subs.Activate(b.t.Context(), sub, nil)
			require.NoError(b.t, err)
		},
		"of one that is paused": func(b *bundle, sub uuid.UUID) { b.pause(sub); b.activate(sub) },
		"of one that was deactivated twice": func(b *bundle, sub uuid.UUID) {
			for range 2 {
				changed, err := b.subs.Deactivate(b.t.Context(), sub, "")
				require.NoError(b.t, err)
				require.True(b.t, changed)
				_, err = b.engine(nil).Prune(b.t.Context())
				require.NoError(b.t, err)
				b.activate(sub)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(nil)
			r := b.receiver(nil)
			r.Script(deliverytest.Answer{Status: 429, Header: http.Header{"Retry-After": {"3600"}}})
			sub := b.subscribe(r, nil).ID
			b.enqueue(nil)
			b.drain(engine)
			require.Len(t, r.Requests(), 1)

			again(b, sub)
			held := b.enqueue(nil)
			b.drain(engine)

			require.Len(t, r.Requests(), 1, "nothing before the time that the endpoint named")
			require.Equal(t, "circuit", b.deliveries(held)[0].Hold)
			require.Greater(t, time.Until(b.health(engine, sub).CircuitUntil), 50*time.Minute)
		})
	}
}
