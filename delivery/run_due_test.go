package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// on makes a subscription of a schedule.
func on(schedule string) func(spec *subscription.Spec) {
	return func(spec *subscription.Spec) { spec.Schedule = schedule }
}

func TestRunDue_AheadExhaustsEachPreset(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		schedule string
		requests int
		ahead    time.Duration
		answer   deliverytest.Answer
	}{
		"svix":       {"svix", 8, 48 * time.Hour, deliverytest.Answer{Status: http.StatusInternalServerError}},
		"standard":   {"", 10, 5 * 24 * time.Hour, deliverytest.Answer{Status: http.StatusInternalServerError}},
		"pywebhooks": {"pywebhooks", 4, 3 * time.Hour, deliverytest.Answer{Status: http.StatusInternalServerError}},
		"throttled":  {"svix", 8, 48 * time.Hour, deliverytest.Answer{Status: http.StatusServiceUnavailable}},
		"Retry-After": {"svix", 8, 9 * 24 * time.Hour, deliverytest.Answer{
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"86400"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			exhausted := make(chan delivery.DeliveryEvent, 2)
			engine := b.engine(func(cfg *delivery.Config) {
				cfg.Hooks.DeliveryExhausted = func(_ context.Context, ev delivery.DeliveryEvent) { exhausted <- ev }
			})
			r := b.always(try.answer)
			sub := b.subscribe(r, on(try.schedule))
			id := b.enqueue(nil)

			b.drainAhead(engine, try.ahead)

			require.Len(t, r.Requests(), try.requests)
			d := b.delivery(id, sub.ID)
			require.Equal(t, "exhausted", d.State, d.Reason)
			require.Len(t, exhausted, 1)
			require.Equal(t, d.ID, (<-exhausted).DeliveryID)
		})
	}
}

func TestRunDue_AheadFollowsTheOrderOfWhatIsDue(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: http.StatusBadRequest}) // which opens no circuit
	waits := map[string][]time.Duration{"a": {time.Hour, 3 * time.Hour}, "b": {2 * time.Hour, time.Hour}, "c": {150 * time.Minute}}
	b.cfg.Schedules = map[string]delivery.Schedule{}
	for name, delays := range waits {
		b.cfg.Schedules[name] = delivery.Schedule{Delays: delays}
	}
	engine := b.engine(nil)
	for _, name := range []string{"c", "b", "a"} {
		created, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
			URL:      r.URL() + "/" + name,
			Events:   []string{"user.created"},
			Operator: true,
			Schedule: name,
		})
		require.NoError(t, err)
		require.NoError(t, r.Trust(created.Secret))
	}
	b.enqueue(func(in *outbox.Intent) { in.NotBefore = time.Now().Add(time.Hour) })

	b.drainAhead(engine, 59*time.Minute)
	require.Empty(t, r.Requests(), "it is not time")
	b.drainAhead(engine, 2*time.Minute)
	require.Len(t, r.Requests(), 3)
	b.drainAhead(engine, 4*time.Hour)

	var paths []string
	for _, req := range r.Requests()[3:] {
		paths = append(paths, req.Path)
	}
	require.Equal(t, []string{"/a", "/b", "/c", "/b", "/a"}, paths)
}

func TestRunDue_AheadAsksAFailingCheckerNowAndThen(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"at expansion": false, "at a later attempt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var broken atomic.Bool
			var asked atomic.Int64
			broken.Store(!later)
			engine := b.guardedBy(access.CheckerFunc(func(context.Context, access.Request) error {
				asked.Add(1)
				if broken.Load() {
					return errors.New("the directory is down")
				}
				return nil
			}))
			r := b.receiver(nil)
			sub := b.subscribe(r, on("hourly"))
			r.Script(deliverytest.Answer{Status: http.StatusInternalServerError})
			id := b.enqueue(nil)
			b.drain(engine)
			broken.Store(true)
			sent := len(r.Requests())

			ran, err := deliverytest.RunAhead(t.Context(), engine, 48*time.Hour)

			require.NoError(t, err)
			require.Len(t, r.Requests(), sent)
			require.Greater(t, ran, 10)
			require.Less(t, ran, 100)
			require.Greater(t, asked.Load(), int64(10))
			broken.Store(false)
			b.drainAhead(engine, 5*time.Minute) // the wait is as short as ever
			if !later {
				require.Len(t, r.Requests(), 1, "the first attempt, which fails")
				b.drainAhead(engine, time.Hour)
			}
			require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
		})
	}
}

func TestRunDue_AheadAsksAFailingTreeNowAndThen(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var broken atomic.Bool
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.MaxAge = time.Nanosecond
		cfg.Tree = treeFunc(func(_ context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
			if broken.Load() {
				return nil, errors.New("the directory is down")
			}
			return p.Ancestors(), nil
		})
	})
	r := b.receiver(nil)
	sub := b.subscribe(r, on("hourly"))
	r.Script(deliverytest.Answer{Status: http.StatusInternalServerError})
	id := b.enqueue(nil)
	b.drain(engine)
	broken.Store(true)

	ran, err := deliverytest.RunAhead(t.Context(), engine, 48*time.Hour)

	require.NoError(t, err)
	require.Len(t, r.Requests(), 1)
	require.Greater(t, ran, 10)
	require.Less(t, ran, 100)
	broken.Store(false)
	b.drainAhead(engine, 5*time.Minute)
	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
}

func TestRunDue_AheadPassesForWhatIsMeasuredByItsAge(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var asked atomic.Int64
	deactivated := make(chan delivery.SubscriptionEvent, 2)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(access.CheckerFunc(func(context.Context, access.Request) error {
			asked.Add(1)
			return nil
		}))
		cfg.Hooks.SubscriptionDeactivated = func(_ context.Context, ev delivery.SubscriptionEvent) { deactivated <- ev }
	})

	// Access is asked for at each attempt that is later than Access.MaxAge; a circuit and
	// a window of failures are those of the time that has passed.
	failing := b.always(deliverytest.Answer{Status: http.StatusInternalServerError})
	sub := b.subscribe(failing, on("hourly"))
	b.enqueue(nil)
	b.drainAhead(engine, 6*time.Hour)
	require.EqualValues(t, 7, asked.Load())
	require.Len(t, failing.Requests(), 7)
	b.drainAhead(engine, 4*24*time.Hour)
	require.Empty(t, deactivated)
	b.drainAhead(engine, 24*time.Hour)
	require.Len(t, deactivated, 1, "five days after the first failure")
	require.Equal(t, subscription.StateDeactivated, b.subscription(sub.ID).State)

	// A secret that was rotated signs for the overlap.
	r := b.receiver(nil)
	rotated := b.subscribe(r, nil)
	fresh, err := b.subs.RotateSecret(t.Context(), rotated.ID, nil)
	require.NoError(t, err)
	require.NoError(t, r.Trust(fresh))
	signatures := func() int {
		b.enqueue(nil)
		b.drain(engine)
		all := r.Requests()
		return len(all[len(all)-1].Header.Values("Webhook-Signature")) + len(all[len(all)-1].Header.Get("Webhook-Signature"))
	}
	both := signatures()
	b.drainAhead(engine, 25*time.Hour)
	require.Less(t, signatures(), both)

	// What is held for too long expires.
	_, err = b.subs.Pause(t.Context(), rotated.ID)
	require.NoError(t, err)
	id := b.enqueue(nil)
	b.drainAhead(engine, 29*24*time.Hour)
	require.Equal(t, "pending", b.delivery(id, rotated.ID).State)
	b.drainAhead(engine, 2*24*time.Hour)
	require.Equal(t, "expired", b.delivery(id, rotated.ID).State)
}

// The rows of an engine that is at work in the same schema stay as they are.
func TestRunDue_AheadLeavesWhatAnotherEngineIsBusyWith(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow, release := b.hangingFirst(deliverytest.Answer{Status: http.StatusInternalServerError})
	mine := b.always(deliverytest.Answer{Status: http.StatusInternalServerError})
	taken := b.subscribe(slow, func(spec *subscription.Spec) { spec.Events, spec.Schedule = []string{"taken.event"}, "hourly" })
	own := b.subscribe(mine, func(spec *subscription.Spec) { spec.Events, spec.Schedule = []string{"own.event"}, "hourly" })
	other := b.engine(func(cfg *delivery.Config) { cfg.ID, cfg.Timeouts.Request = "other", time.Minute })
	takenID := b.enqueue(func(in *outbox.Intent) { in.Type = "taken.event" })
	var ran sync.WaitGroup
	ran.Go(func() { b.drain(other) })
	b.wait(slow, 1)
	asking := b.toProve("https://other.example/", subscription.VerificationEcho)
	b.exec(`UPDATE riverhook.endpoint_challenge SET asking_until = now() + interval '1 min', tries = 1 WHERE subscription_id = $1`, asking.ID)
	ownID := b.enqueue(func(in *outbox.Intent) { in.Type = "own.event" })
	rows := func() string {
		return b.text(`SELECT concat_ws(' ',
			(SELECT jsonb_agg(j) FROM riverhook.river_job j WHERE state = 'running'),
			(SELECT jsonb_agg(d) FROM riverhook.delivery d WHERE subscription_id = $1),
			(SELECT jsonb_agg(s) FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id WHERE i.type = 'taken.event'),
			(SELECT jsonb_agg(to_jsonb(n) - 'heartbeat_at') FROM riverhook.engine n WHERE n.process = $2),
			(SELECT bool_and(n.heartbeat_at > now() - interval '1 min') FROM riverhook.engine n WHERE n.process = $2),
			(SELECT jsonb_agg(c) FROM riverhook.endpoint_challenge c WHERE subscription_id = $3))`, taken.ID, other.Process(), asking.ID)
	}
	before := rows()

	jobs, err := deliverytest.RunAhead(t.Context(), b.engine(nil), 30*time.Hour)
	require.NoError(t, err)

	require.Equal(t, before, rows())
	require.Less(t, jobs, 30)
	require.Len(t, slow.Requests(), 1, "nobody else has sent it")
	require.Len(t, mine.Requests(), 21)
	require.Equal(t, "exhausted", b.delivery(ownID, own.ID).State)
	release()
	ran.Wait()
	require.Equal(t, []string{"failed"}, b.history(takenID))
}

// Time passes beside a transaction of the application, whose rows stay as they are.
func TestRunDue_AheadWaitsForNoLock(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	held := b.subscribe(b.receiver(nil), func(spec *subscription.Spec) { spec.Events = []string{"other.event"} })
	_, err := b.subs.RotateSecret(t.Context(), held.ID, nil)
	require.NoError(t, err)
	b.exec(`INSERT INTO riverhook.challenged_host (host, asked_at) VALUES ('held.example', now())`)
	r := b.always(deliverytest.Answer{Status: http.StatusInternalServerError})
	b.subscribe(r, on("twice"))
	b.enqueue(nil)
	b.drain(engine)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context())) // it was only to lock
	_, err = b.subs.In(tx).RotateSecret(t.Context(), held.ID, nil)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE riverhook.challenged_host SET asked_at = now()`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	_, err = deliverytest.RunAhead(ctx, engine, 2*time.Hour)

	require.NoError(t, err)
	require.Len(t, r.Requests(), 2)
}

func TestRunDue_AheadPassesForTokens(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	b.authorized(r, oauth2(newTokenServer(t).URL))
	for range 2 {
		b.enqueue(nil)
		b.drainAhead(engine, 40*time.Second) // tokens last for a minute
		b.enqueue(nil)
		b.drainAhead(engine, 40*time.Second)
	}
	require.Equal(t, []string{"Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"}, authorizations(r))
}

func TestRunDue_RefusesToGoBack(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := deliverytest.RunAhead(t.Context(), b.engine(nil), -time.Second)
	require.EqualError(t, err, "deliverytest: run ahead: time does not go back")
}
