package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// deliveredHook collects the calls of a hook.
type deliveredHook struct {
	mu     sync.Mutex
	events []delivery.DeliveredEvent
}

func (h *deliveredHook) hook(_ context.Context, ev delivery.DeliveredEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, ev)
}

func plainText(status int, body []byte) deliverytest.Answer {
	return deliverytest.Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:   body,
	}
}

func TestHooks_DeliveryDeliveredIsToldTheAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	large := bytes.Repeat([]byte("a"), 64<<10+1)
	r := b.receiver(nil)
	r.Script(
		plainText(500, []byte("not this one")), plainText(202, []byte("taken")), plainText(200, large), deliverytest.Answer{},
		plainText(200, []byte("by a ping")))
	sub := b.subscribe(r, nil)
	var told deliveredHook
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Hooks.DeliveryDelivered = told.hook
		cfg.History.Answers, cfg.Limits.ResponseBytes = event.KeepNothing, -1
	})
	ids := make([]string, 3)
	for i := range ids {
		ids[i] = b.enqueue(func(in *outbox.Intent) { in.Type = "user.created" })
		b.drainAhead(engine, time.Minute)
	}
	_, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	b.gate(r, nil)
	_, err = engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)

	require.Len(t, r.Requests(), 6)
	require.Len(t, told.events, 3)
	const plain = "text/plain; charset=utf-8"
	for i, want := range []delivery.DeliveredEvent{
		{
			DeliveryEvent: delivery.DeliveryEvent{Attempts: 2, Status: 202},
			Body:          []byte("taken"),
			ContentType:   plain,
		},
		{
			DeliveryEvent: delivery.DeliveryEvent{Attempts: 1, Status: 200},
			Body:          large[1:],
			BodyTruncated: true,
			ContentType:   plain,
		},
		{DeliveryEvent: delivery.DeliveryEvent{Attempts: 1, Status: 204}, Body: []byte{}},
	} {
		want.DeliveryID = b.delivery(ids[i], sub.ID).ID
		want.SubscriptionID = sub.ID
		want.Owner = "owner"
		want.URL = r.URL()
		want.IntentID = ids[i]
		want.EventType = "user.created"
		want.Outcome = delivery.OutcomeDelivered
		require.Equal(t, want, told.events[i])
	}
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent WHERE type LIKE 'riverhook.%'`), "no event is written for it")
}

func TestHooks_OnlyThoseThatFailAreLogged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hook   func()
		logged string
	}{
		"returns":            {hook: func() {}},
		"panics":             {hook: func() { panic("out of paper") }, logged: "panic: out of paper"},
		"ends its goroutine": {hook: runtime.Goexit, logged: "it ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			b.subscribe(r, nil)
			var told atomic.Int32
			var logged log
			engine := b.engine(func(cfg *delivery.Config) {
				cfg.Logger = logged.logger()
				cfg.Hooks.DeliveryDelivered = func(context.Context, delivery.DeliveredEvent) {
					told.Add(1)
					c.hook()
				}
			})
			for range 8 { // whichever of two things comes first
				b.enqueue(nil)
			}
			b.drain(engine)

			require.EqualValues(t, 8, told.Load())
			if c.logged == "" {
				require.NotContains(t, logged.String(), "hook failed")
				return
			}
			require.Equal(t, 8, strings.Count(logged.String(), "hook failed"))
			require.Equal(t, 8, strings.Count(logged.String(), c.logged))
		})
	}
}

// Whoever answers an event as a gate does would stop what has happened.
func TestHooks_AVetoOfAnEventLeavesAWarning(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var logged log
	engine := b.engine(func(cfg *delivery.Config) { cfg.Logger = logged.logger() })
	sub := b.subscribe(b.always(deliverytest.Answer{
		Header: http.Header{"Content-Type": {"application/vnd.opsani.servo.errors.CancelEventError+json"}},
		Body:   []byte(`{"reason": "too late"}`),
	}), nil)
	id := b.enqueue(nil)
	b.drain(engine)

	d := b.delivery(id, sub.ID)
	require.Equal(t, "delivered", d.State)
	require.Contains(t, d.Reason, "answered with a veto, which changes nothing")
	require.Equal(t, []string{"delivered"}, b.outcomes(d.ID))
	require.Contains(t, logged.String(), `level=WARN msg="riverhook: veto ignored" delivery=`+d.ID.String())
	x, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, x.String(), "the event has happened")
}

func TestAsk_AGateSaysThatAVetoGivesNoReason(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, body := range []string{`{}`, `{"reason": " \u202e "}`} {
		b.gate(b.always(deliverytest.Answer{Header: http.Header{"Content-Type": {dialect.ContentTypeCancel}}, Body: []byte(body)}), nil)
	}

	answer, err := b.engine(nil).Ask(t.Context(), mayDelete())

	require.ErrorIs(t, err, delivery.ErrVetoed)
	for _, g := range answer.Gates {
		require.Equal(t, "no reason given", g.Reason)
		require.Contains(t, err.Error(), g.SubscriptionID.String()+": no reason given")
		require.Equal(t, "no reason given", b.text(`SELECT reason FROM riverhook.delivery WHERE id = $1`, g.DeliveryID))
	}
}

// hookIn starts an engine with a hook for deliveries or for a deactivation, and returns
// when it is in it.
func (b *bundle) hookIn(which string, change func(cfg *delivery.Config), hook func(ctx context.Context)) *delivery.Engine {
	b.t.Helper()
	entered := make(chan struct{})
	engine := b.engine(func(cfg *delivery.Config) {
		change(cfg)
		switch which {
		case "a delivery":
			cfg.Hooks.DeliveryDelivered = func(ctx context.Context, _ delivery.DeliveredEvent) {
				close(entered)
				hook(ctx)
			}
		default:
			cfg.Hooks.SubscriptionDeactivated = func(ctx context.Context, _ delivery.SubscriptionEvent) {
				close(entered)
				hook(ctx)
			}
		}
	})
	require.NoError(b.t, engine.Start(b.t.Context()))
	r := b.receiver(nil)
	if which != "a delivery" {
		r.Script(deliverytest.Answer{Status: http.StatusGone})
	}
	b.subscribe(r, nil)
	b.enqueue(nil)
	select {
	case <-entered:
	case <-time.After(20 * time.Second):
		require.Fail(b.t, "the hook is not called")
	}
	return engine
}

func TestStop_LetsHooksComeToTheirEnd(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"a delivery", "a deactivation"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			stopping := make(chan struct{})
			var undisturbed atomic.Bool
			engine := b.hookIn(which, func(*delivery.Config) {}, func(ctx context.Context) {
				<-stopping
				b.count(`SELECT 1 FROM pg_sleep(0.5)`) // so long is what the hook does
				undisturbed.Store(ctx.Err() == nil)
			})
			stopped := make(chan error, 1)
			go func() { stopped <- engine.Stop(context.Background()) }()
			b.eventually(func() bool { return engine.Ready() != nil })
			close(stopping)

			require.NoError(t, <-stopped)
			require.True(t, undisturbed.Load())
		})
	}
}

func TestStop_InterruptsHooks(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"a delivery", "a deactivation"} {
		for name, heeds := range map[string]bool{"that heeds its context": true, "that does not": false} {
			t.Run(which+" "+name, func(t *testing.T) {
				t.Parallel()
				b := newBundle(t)
				leave := make(chan struct{})
				defer close(leave)
				var returned atomic.Bool
				var logged log
				engine := b.hookIn(which, func(cfg *delivery.Config) {
					cfg.Timeouts.Stop = 10 * time.Millisecond
					cfg.Timeouts.Hook = time.Hour
					cfg.Logger = logged.logger()
				}, func(ctx context.Context) {
					<-ctx.Done()
					if !heeds {
						<-leave
					}
					returned.Store(true)
				})

				err := engine.Stop(context.Background())

				b.eventually(func() bool { return strings.Contains(logged.String(), "the engine stops") })
				require.Equal(t, heeds, returned.Load())
				if heeds {
					require.NotContains(t, errors.Join(err, errors.New("-")).Error(), "of a hook")
				} else {
					require.ErrorContains(t, err, "1 call of a hook has not returned")
				}
			})
		}
	}
}

func TestStop_NothingIsSentAfterIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	plain := b.subscribe(r, nil).ID
	guarded := b.authorized(r, subscription.Credentials{Bearer: "token"})
	engine := b.engine(nil)
	require.NoError(t, engine.Start(t.Context()))
	require.NoError(t, engine.Stop(context.Background()))

	_, _, err := engine.Ping(t.Context(), plain, nil)
	require.ErrorIs(t, err, delivery.ErrNotStarted)
	_, _, err = engine.Ping(t.Context(), guarded, nil)
	require.ErrorIs(t, err, delivery.ErrNotStarted)
	require.Empty(t, r.Requests())
}
