package delivery_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/http2test"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// queued is an engine that may have one request in flight, which hangs until release
// is called, so that whatever else it is to send waits for its turn. It reads each
// row again.
func (b *bundle) queued() (engine *delivery.Engine, release func()) {
	b.t.Helper()
	hanging, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(hanging, func(spec *subscription.Spec) { spec.Events = []string{"first.event"} })
	engine = b.engine(func(cfg *delivery.Config) { cfg.Limits.InFlight, cfg.Limits.ShareOf = 1, apart })
	engine.RereadAfter(time.Nanosecond)
	b.start(engine)
	b.enqueue(func(in *outbox.Intent) { in.Type = "first.event" })
	b.wait(hanging, 1)
	return engine, release
}

// apart makes each delivery a share of its own, which waits for its turn however long that
// takes.
func apart(delivery.Recipient, hierarchy.Path) string { return uuid.NewString() }

// awaitWaiting waits until n deliveries wait for their turn in a queued engine.
func (b *bundle) awaitWaiting(n int) {
	b.t.Helper()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`) == n+1
	})
}

var laterSecret = secretOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

func later(spec *subscription.Spec) {
	spec.Events, spec.Schedule = []string{"user.*"}, "twice"
}

func TestReread_WhatHasChangedWhileAnAttemptWaited(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(b *bundle, sub subscription.Subscription, former, now *deliverytest.Receiver)
		state    string
		hold     string
		reason   string
		requests [2]int // of the former URL and of the one of now
	}{
		"deleted": {
			change: func(b *bundle, sub subscription.Subscription, _, _ *deliverytest.Receiver) {
				require.NoError(b.t, b.subs.Delete(b.t.Context(), sub.ID))
			},
			state:  "cancelled",
			reason: "the subscription was deleted",
		},
		"paused": {
			change: func(b *bundle, sub subscription.Subscription, _, _ *deliverytest.Receiver) { b.pause(sub.ID) },
			state:  "pending",
			hold:   "paused",
			reason: "the subscription is paused",
		},
		"deactivated": {
			change: func(b *bundle, sub subscription.Subscription, _, _ *deliverytest.Receiver) {
				b.deactivate(sub.ID, "no")
			},
			state:  "cancelled",
			reason: "the subscription is deactivated: no",
		},
		"deactivated and activated": {
			change: func(b *bundle, sub subscription.Subscription, _, _ *deliverytest.Receiver) {
				b.deactivate(sub.ID, "no")
				b.activate(sub.ID)
			},
			state:  "cancelled",
			reason: "the subscription was deactivated meanwhile",
		},
		"another URL": {
			change: func(b *bundle, sub subscription.Subscription, _, now *deliverytest.Receiver) {
				_, err := b.subs.Update(b.t.Context(), sub.ID, subscription.Update{URL: new(now.URL())})
				require.NoError(b.t, err)
			},
			state:    "delivered",
			requests: [2]int{0, 1},
		},
		"another secret": {
			change: func(b *bundle, sub subscription.Subscription, former, _ *deliverytest.Receiver) {
				require.NoError(b.t, former.Trust(laterSecret))
				_, err := b.subs.RotateSecret(b.t.Context(), sub.ID, &subscription.RotateOpts{Immediate: true, Secret: laterSecret})
				require.NoError(b.t, err)
			},
			state:    "delivered",
			requests: [2]int{1, 0},
		},
		"other credentials": {
			change: func(b *bundle, sub subscription.Subscription, _, _ *deliverytest.Receiver) {
				_, err := b.subs.Update(b.t.Context(), sub.ID, subscription.Update{
					Credentials: &subscription.Credentials{Bearer: "of-now"}, Headers: &map[string]string{"X-Of": "now"},
				})
				require.NoError(b.t, err)
			},
			state:    "delivered",
			requests: [2]int{1, 0},
		},
		"moved on": {
			change: func(b *bundle, _ subscription.Subscription, _, _ *deliverytest.Receiver) {
				require.Equal(b.t, 1, b.exec(`UPDATE riverhook.delivery SET attempt_seq = attempt_seq + 1
					WHERE intent_id IN (SELECT id FROM riverhook.intent WHERE type = 'user.created')`))
			},
			state: "pending",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			former, now := b.receiver(nil), b.receiver(nil)
			sub := b.subscribe(former, later)
			_, release := b.queued()
			id := b.enqueue(nil)
			b.awaitWaiting(1)

			c.change(b, sub, former, now)
			release()

			b.eventually(func() bool { // the first event gave way to this one
				return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`) == 0 &&
					b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state = 'expanded'`) == 2
			})
			d := b.deliveries(id)[0]
			require.Equal(t, []string{c.state, c.hold, c.reason}, []string{d.State, d.Hold, d.Reason})
			requests := [2]int{len(former.Requests()), len(now.Requests())}
			require.Equal(t, c.requests, requests)
			require.Len(t, b.outcomes(d.ID), c.requests[0]+c.requests[1], "nothing is recorded but what was sent")
			switch name {
			case "another secret":
				secret, err := dialect.ParseSecret(laterSecret.Reveal())
				require.NoError(t, err)
				req := former.Requests()[0]
				require.NoError(t, dialect.StandardVerifier(nil).Verify(req.Header, req.Body, []dialect.Secret{secret}, req.At))
			case "other credentials":
				require.Equal(t, []string{"Bearer of-now"}, authorizations(former))
				require.Equal(t, "now", former.Requests()[0].Header.Get("X-Of"))
			}
		})
	}
}

// A process that is stopped does not see what happens meanwhile; its clock goes on.
func TestReread_AfterAProcessWasStoppedNothingGoesToDeletedSubscriptions(t *testing.T) {
	t.Parallel()
	const n = 30
	b := newBundle(t)
	hanging, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(hanging, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Events = []string{"first.event"}
	})
	receiver := b.receiver(nil)
	for range n {
		b.subscribe(receiver, func(spec *subscription.Spec) {
			operatorOnly(spec)
			later(spec)
		})
	}
	engine := startChild(t, childTask{
		Role:        "engine",
		Database:    b.pool.Config().ConnString(),
		EngineID:    "engine",
		MaxInFlight: 1,
	})
	engine.awaitStart(t)
	b.enqueue(func(in *outbox.Intent) { in.Type = "first.event" })
	b.wait(hanging, 1)
	id := b.enqueue(nil)
	b.awaitWaiting(n)

	require.NoError(t, engine.cmd.Process.Signal(syscall.SIGSTOP))
	stopped := time.Now()
	for _, d := range b.deliveries(id) {
		require.NoError(t, b.subs.Delete(t.Context(), d.Subscription))
	}
	release()
	b.eventually(func() bool { return time.Since(stopped) > 1500*time.Millisecond })
	require.NoError(t, engine.cmd.Process.Signal(syscall.SIGCONT))

	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'cancelled'`) == n
	})
	require.Empty(t, received(receiver, id))
	require.NoError(t, engine.stdin.Close())
	require.NoError(t, engine.cmd.Wait())
}

func TestReread_AGateThatIsNotInForceAnyMoreIsNotAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bundle, sub subscription.Subscription, now *deliverytest.Receiver)
		said   string
		asked  [2]int
	}{
		"deleted": {
			change: func(b *bundle, sub subscription.Subscription, _ *deliverytest.Receiver) {
				require.NoError(b.t, b.subs.Delete(b.t.Context(), sub.ID))
			},
			said: "not_asked: the subscription was deleted",
		},
		"paused": {
			change: func(b *bundle, sub subscription.Subscription, _ *deliverytest.Receiver) { b.pause(sub.ID) },
			said:   "not_asked: the subscription is paused",
		},
		"another URL": {
			change: func(b *bundle, sub subscription.Subscription, now *deliverytest.Receiver) {
				_, err := b.subs.Update(b.t.Context(), sub.ID, subscription.Update{URL: new(now.URL())})
				require.NoError(b.t, err)
			},
			said:  "agreed",
			asked: [2]int{0, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			former, now := b.receiver(nil), b.receiver(nil)
			sub := b.subscription(b.gate(former, failClosed))
			engine, release := b.queued()
			type result struct {
				answer *delivery.Answer
				err    error
			}
			done := make(chan result, 1)
			go func() {
				q := mayDelete()
				q.Timeout = 20 * time.Second
				answer, err := engine.Ask(t.Context(), q)
				done <- result{answer, err}
			}()
			b.eventually(func() bool { return engine.InSlot(sub.ID) == 1 })

			c.change(b, sub, now)
			release()

			got := <-done
			require.NoError(t, got.err)
			require.Equal(t, []string{c.said}, said(got.answer.Gates))
			asked := [2]int{len(former.Requests()), len(now.Requests())}
			require.Equal(t, c.asked, asked)
		})
	}
}

// changing is an engine of which f comes between reading a subscription and sending.
func (b *bundle) changing(f func()) *delivery.Engine {
	b.t.Helper()
	var once sync.Once
	engine := b.with(&openingSealer{Sealer: sealer(), before: func([]byte) error {
		once.Do(f)
		return nil
	}})
	engine.RereadAfter(time.Nanosecond)
	return engine
}

func TestReread_APingGoesToTheURLOfNow(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	former, now := b.receiver(nil), b.receiver(nil)
	sub := b.subscribe(former, nil)
	engine := b.changing(func() {
		_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: new(now.URL())})
		require.NoError(t, err)
	})

	a, _, err := engine.Ping(t.Context(), sub.ID, nil)

	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	require.Empty(t, former.Requests())
	require.Len(t, now.Requests(), 1)
	deleting := b.changing(func() { require.NoError(t, b.subs.Delete(t.Context(), sub.ID)) })
	_, _, err = deleting.Ping(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	require.Len(t, now.Requests(), 1)
}

func TestReread_AChallengeOfAFormerURLIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	former, now := newProving(t, nil), newProving(t, nil)
	sub := b.toProve(former.URL, subscription.VerificationChallenge)
	engine := b.changing(func() {
		_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: &now.URL})
		require.NoError(t, err)
	})

	_, err := engine.VerifyEndpoint(t.Context(), sub.ID)

	require.ErrorIs(t, err, delivery.ErrNotFound)
	require.Empty(t, former.asked())
}

// The endpoint is deleted while it refuses the token: the request is not repeated.
func TestReread_ARequestIsNotRepeatedToADeletedSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var requests atomic.Int32
	var refused func()
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 2 {
			refused()
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(r.Close)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:         r.URL,
		Events:      []string{"**"},
		Operator:    true,
		Credentials: oauth2(newTokenServer(t).URL),
		Schedule:    "twice",
	})
	require.NoError(t, err)
	refused = func() { b.exec(`UPDATE riverhook.subscription SET deleted_at = now() WHERE id = $1`, created.ID) }
	engine := b.engine(nil)
	engine.RereadAfter(time.Nanosecond)
	b.enqueue(nil)
	b.drain(engine)

	id := b.enqueue(nil)
	b.drain(engine)

	require.EqualValues(t, 2, requests.Load())
	require.Len(t, b.deliveries(id), 1)
	require.Equal(t, 401, b.count(`SELECT last_status FROM riverhook.delivery WHERE id = $1`, b.deliveries(id)[0].ID))
}

// rereadCount counts the statements that read rows again.
type rereadCount struct{ n *atomic.Int32 }

func (c rereadCount) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		if strings.Contains(q.SQL, "-- name: RereadTargets ") {
			c.n.Add(1)
		}
	}
	return ctx
}

func (rereadCount) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (rereadCount) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
func (rereadCount) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (rereadCount) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestReread_TakesNoStatementsAtFullSpeedAndFewOtherwise(t *testing.T) {
	t.Parallel()
	const n = 400
	for name, c := range map[string]struct {
		after time.Duration
		most  int32
	}{
		"young rows": {after: time.Hour, most: 0},
		"old rows":   {after: time.Nanosecond, most: 2 * n / 4}, // each is read twice, by itself that would be 2n
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			receiver := b.receiver(nil)
			for range n {
				b.subscribe(receiver, operatorOnly)
			}
			var count atomic.Int32
			engine := b.apart(func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = rereadCount{&count} })
			engine.RereadAfter(c.after)
			b.enqueue(nil)

			b.start(engine)
			b.wait(receiver, n)

			t.Logf("%d statements", count.Load())
			require.LessOrEqual(t, count.Load(), c.most)
			require.Equal(t, c.most > 0, count.Load() > 0)
		})
	}
}

// A server that goes away has not processed the request; by then that is not to be sent
// any more, or not there.
func TestReread_ARequestThatWasNotProcessedIsSentAgainByWhatIsTrueThen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *bundle, sub uuid.UUID, now *http2test.Server)
		state  string
		reason string
		later  int // requests to the URL of now
	}{
		"deleted": {
			change: func(b *bundle, sub uuid.UUID, _ *http2test.Server) {
				require.NoError(b.t, b.subs.Delete(b.t.Context(), sub))
			},
			state:  "cancelled",
			reason: "the subscription was deleted",
		},
		"another URL": {
			change: func(b *bundle, sub uuid.UUID, now *http2test.Server) { b.moveTo(sub, now.URL) },
			state:  "delivered",
			later:  1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speakKeyed()
			now := http2test.Start(t)
			var sub uuid.UUID
			former := http2test.Start(t, func(conn *http2test.Conn, r http2test.Request) {
				c.change(b, sub, now)
				http2test.GoAway(0, http2.ErrCodeNo)(conn, r)
			})
			sub = b.subscribeURL(former.URL, "standard", nil)
			engine := b.engine(nil)
			engine.RereadAfter(time.Nanosecond)
			id := b.enqueue(nil)

			b.drain(engine)

			require.Len(t, former.Requests(), 1)
			require.Len(t, now.Requests(), c.later)
			d := b.deliveries(id)[0]
			require.Equal(t, []string{c.state, c.reason}, []string{d.State, d.Reason})
			require.Len(t, b.outcomes(d.ID), c.later)
		})
	}
}

// What has a slot of the former URL needs one of the URL of now.
func TestReread_AnotherURLHasSlotsOfItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	release := make(chan struct{})
	hanging := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-release
		return deliverytest.Answer{}
	}})
	goOn := make(chan struct{})
	var inFlight, most atomic.Int32
	former, now := b.receiver(nil), b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		most.Store(max(most.Load(), n))
		<-goOn
		return deliverytest.Answer{}
	}})
	t.Cleanup(sync.OnceFunc(func() { close(goOn) }))
	b.subscribe(hanging, func(spec *subscription.Spec) { spec.Events = []string{"first.event"} })
	sub := b.subscribe(former, func(spec *subscription.Spec) {
		spec.Events, spec.MaxInFlight = []string{"user.*"}, 1
	})
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.InFlight, cfg.Limits.ShareOf = 2, apart })
	engine.RereadAfter(time.Nanosecond)
	b.start(engine)
	b.enqueueMany("first.event", 2)
	b.wait(hanging, 2)

	b.enqueue(nil)
	b.eventually(func() bool { return engine.InSlot(sub.ID) == 1 })
	b.moveTo(sub.ID, now.URL())
	b.enqueue(nil)
	b.eventually(func() bool { return engine.InSlots(sub.ID) == 2 })
	close(release)
	b.eventually(func() bool {
		return inFlight.Load() == 2 || b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots'`) == 1
	})
	goOn <- struct{}{}
	goOn <- struct{}{}

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 4 })
	require.EqualValues(t, 1, most.Load())
	require.Empty(t, former.Requests())
}

// A URL that was changed and changed back has a record of its own.
func TestReread_AURLThatIsBackCountsWhatItAnswers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) {
		spec.Schedule, spec.Credentials.Bearer = "hourly", "a-token"
	})
	engine := b.interrupted("LoadEndpointAuths", func() {
		b.exec(`UPDATE riverhook.subscription SET url_version = url_version + 2`)
	})
	engine.RereadAfter(time.Nanosecond)
	id := b.enqueue(nil)

	b.drain(engine)

	require.Equal(t, []string{"failed"}, b.history(id))
	require.Equal(t, 1, b.health(engine, sub.ID).FailedAttempts)
}
