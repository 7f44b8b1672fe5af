package delivery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
)

// brokenTemplate fails until it is mended.
func (b *bundle) brokenTemplate(mended *atomic.Bool) *delivery.Externalizers {
	b.t.Helper()
	externalizers := &delivery.Externalizers{}
	require.NoError(b.t, externalizers.Register("", "", "", delivery.Externalizer(
		func(_ context.Context, ev dialect.Event) ([]byte, error) {
			if !mended.Load() {
				return nil, errors.New("the template is broken")
			}
			return ev.Data, nil
		})))
	return externalizers
}

func TestRetryFailed_GoesThroughALargeFanOutWithoutWaiting(t *testing.T) {
	t.Parallel()
	const subscriptions = 7
	b := newBundle(t)
	receiver := b.receiver(nil)
	for range subscriptions {
		b.subscribe(receiver, nil)
	}
	var mended atomic.Bool
	b.cfg.Limits.ChunkSize = 2
	b.cfg.Externalize.Registry = b.brokenTemplate(&mended)
	b.cfg.Externalize.Tries = 1
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Equal(t, subscriptions, b.count(`SELECT count(*) FROM riverhook.decision WHERE outcome = 'failed'`))
	b.exec(`UPDATE riverhook.decision SET created_at = now() - interval '1 day'`)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Externalize.Tries = 8 })

	// Each is tried once, and waits for its next try.
	n, err := engine.RetryFailed(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, subscriptions, n)
	b.drain(engine)
	require.Equal(t, subscriptions, b.count(`
		SELECT count(*) FROM riverhook.decision WHERE outcome = 'waiting' AND tries = 1 AND due_at > now() + interval '1 minute'`))

	b.exec(`UPDATE riverhook.decision SET outcome = 'failed', job_id = NULL, due_at = NULL`)
	mended.Store(true)
	_, err = engine.RetryFailed(t.Context(), id)
	require.NoError(t, err)
	b.drain(engine)
	require.Len(t, receiver.Requests(), subscriptions)
	require.Empty(t, b.decisions(id))
}

func TestRetryFailed_SlowEndpointsDelayNoOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	quick, hanging := b.receiver(nil), b.always(deliverytest.Answer{Hang: true})
	for range 3 { // in the order of their ids
		b.subscribe(hanging, nil)
		b.subscribe(quick, nil)
	}
	var mended atomic.Bool
	b.cfg.Limits.ChunkSize = 2
	b.cfg.Externalize.Registry = b.brokenTemplate(&mended)
	b.cfg.Externalize.Tries = 1
	b.cfg.Timeouts.Stop = time.Millisecond
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	mended.Store(true)
	engine := b.engine(nil)
	require.NoError(t, engine.Start(t.Context()))
	started := time.Now()

	n, err := engine.RetryFailed(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	b.eventually(func() bool { return len(quick.Requests()) == 3 && len(hanging.Requests()) == 3 })
	require.Less(t, time.Since(started), 20*time.Second, "that is the timeout of one request")
	require.ErrorContains(t, engine.Stop(context.Background()), "interrupted")
}

func TestRetryFailedMany_RunsWhatTheFilterLists(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	var mended atomic.Bool
	b.cfg.Externalize.Registry, b.cfg.Externalize.Tries = b.brokenTemplate(&mended), 1
	engine := b.engine(nil)
	ids := map[string]string{}
	for _, name := range []string{"a.decision", "b.decision", "a.failed", "b.cancelled", "a.erased", "a.fine"} {
		mended.Store(name == "a.fine")
		ids[name] = b.enqueue(func(in *outbox.Intent) { in.Type, in.Resource = name, access.Resource{Kind: "thing", ID: name} })
		b.drain(engine)
	}
	set := func(name, state string) {
		b.exec(`DELETE FROM riverhook.decision c USING riverhook.intent i WHERE i.id = c.intent_id AND i.type = $1`, name)
		b.exec(`UPDATE riverhook.intent_state s SET state = $2, after = '00000000-0000-0000-0000-000000000000', ended_at = now()
			FROM riverhook.intent i WHERE i.id = s.intent_id AND i.type = $1`, name, state)
	}
	set("a.failed", "failed")
	set("b.cancelled", "cancelled")
	b.exec(`UPDATE riverhook.intent SET gone = 'erased', gone_at = now(), data = NULL WHERE type = 'a.erased'`)
	mended.Store(true)
	retry := func(f *delivery.IntentFilter) int {
		n, err := engine.RetryFailedMany(t.Context(), f)
		require.NoError(t, err)
		b.drain(engine)
		return n
	}
	told := func() (types []string) {
		for _, r := range receiver.Requests() {
			types = append(types, b.text(`SELECT type FROM riverhook.intent WHERE wire_id = $1`, r.ID()))
		}
		return types
	}
	require.Equal(t, []string{"a.fine"}, told())

	require.Zero(t, retry(&delivery.IntentFilter{Type: "a.*", Site: "/elsewhere"}))
	require.Equal(t, 1, retry(&delivery.IntentFilter{Type: "a.*", Limit: 1}))
	require.Equal(t, []string{"a.fine", "a.decision"}, told(), "the oldest first")
	require.Equal(t, 1, retry(&delivery.IntentFilter{State: delivery.IntentFailed}))
	require.Equal(t, []string{"a.fine", "a.decision", "a.failed"}, told())
	require.Equal(t, 2, retry(nil))
	require.ElementsMatch(t, []string{"a.fine", "a.decision", "a.failed", "b.cancelled", "b.decision"}, told())
	require.Zero(t, retry(nil))

	_, err := engine.RetryFailedMany(t.Context(), &delivery.IntentFilter{Limit: -1})
	require.ErrorContains(t, err, "Limit: ")
	_, err = engine.RetryFailedMany(t.Context(), &delivery.IntentFilter{State: "lost"})
	require.ErrorContains(t, err, "State: ")
}

func TestRetryFailedMany_GoesInSteps(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(`INSERT INTO riverhook.intent (id, wire_id, type, site, share, occurred_at)
		SELECT lpad(i::text, 32, '0')::uuid, 'old' || i, 'user.created', '/', '/', now() FROM generate_series(1, 2001) i`)
	b.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, state)
		SELECT id, 1, CASE wire_id WHEN 'old1' THEN 'failed' WHEN 'old2001' THEN 'cancelled' ELSE 'expanded' END FROM riverhook.intent`)

	n, err := b.engine(nil).RetryFailedMany(t.Context(), &delivery.IntentFilter{Limit: 5000})

	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// The most that a deactivation leaves are more than the history keeps otherwise.
func TestRecover_FindsAllThatADeactivationEnded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.History.PerSubscription = 3
	receiver, engine := b.receiver(nil), b.engine(nil)
	sub := b.subscribe(receiver, hourly)
	prune := func() int {
		pruned, err := engine.Prune(t.Context())
		require.NoError(t, err)
		return pruned.Deliveries
	}
	b.enqueueMany("user.created", 5)
	b.drain(engine)
	require.Equal(t, 2, prune())
	_, err := b.subs.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	b.enqueueMany("user.updated", 9)
	b.drain(engine)
	_, err = b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)
	b.enqueueMany("user.moved", 4)
	b.drain(engine)
	require.Equal(t, 9, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'cancelled'`))
	require.Zero(t, prune())
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	b.drain(engine)
	require.Zero(t, prune())
	b.enqueueMany("user.deleted", 5)
	b.drain(engine)
	require.Equal(t, 5, prune())

	n, err := engine.Recover(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, 9+4, n)
	b.drain(engine)
	require.Len(t, receiver.Requests(), 5+5+9+4)

	// What was brought back is history like any other, and so is what the deactivation
	// before the last has left.
	require.Equal(t, 9+4, prune())
	_, err = b.subs.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	b.enqueueMany("user.updated", 9)
	b.drain(engine)
	for range 2 {
		_, err = b.subs.Deactivate(t.Context(), sub.ID, "moved away")
		require.NoError(t, err)
		b.drain(engine)
		_, err = b.subs.Activate(t.Context(), sub.ID, nil)
		require.NoError(t, err)
	}
	require.Equal(t, 9, prune())
}

// A retry that is planned says only when it is due that its epoch is over.
func TestRecover_TakesWhatADeactivationIsAboutToEnd(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver, engine := b.failing(), b.engine(nil)
	sub := b.subscribe(receiver, hourly)
	ids := []string{b.enqueue(nil), b.enqueue(nil)}
	b.drain(engine)
	_, err := b.subs.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	ids = append(ids, b.enqueue(nil))
	b.drain(engine)
	_, err = b.subs.Deactivate(t.Context(), sub.ID, "moved away")
	require.NoError(t, err)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	only := func(state delivery.DeliveryState) *delivery.RecoverOpts {
		return &delivery.RecoverOpts{States: []delivery.DeliveryState{state}}
	}
	n, err := engine.Recover(t.Context(), sub.ID, only(delivery.DeliveryExhausted))
	require.NoError(t, err)
	require.Zero(t, n)

	n, err = engine.Recover(t.Context(), sub.ID, only(delivery.DeliveryCancelled))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = engine.Recover(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	b.drain(engine)

	for _, id := range ids {
		d := b.delivery(id, sub.ID)
		require.Equal(t, "pending", d.State)
		require.Equal(t, 1, d.Attempts)
	}
	require.Len(t, receiver.Requests(), 5)
	b.due() // the jobs of the epoch before find nothing to do
	b.drain(engine)
	require.Len(t, receiver.Requests(), 8)
}
