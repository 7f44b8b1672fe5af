package delivery_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// hangingFirst answers the first request when it is told to, and all others
// at once.
func (b *bundle) hangingFirst(answer deliverytest.Answer) (r *deliverytest.Receiver, release func()) {
	b.t.Helper()
	released := make(chan struct{})
	r = b.receiver(&deliverytest.ReceiverConfig{Answer: func(req deliverytest.Request) deliverytest.Answer {
		if req.Number > 1 {
			return deliverytest.Answer{}
		}
		<-released
		return answer
	}})
	release = sync.OnceFunc(func() { close(released) })
	b.t.Cleanup(release)
	return r, release
}

func (b *bundle) wait(r *deliverytest.Receiver, n int) {
	b.t.Helper()
	_, err := r.Wait(b.t.Context(), n)
	require.NoError(b.t, err)
}

func TestStop_WaitsForRequestsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, nil)
	engine := b.engine(nil)
	require.NoError(t, engine.Start(t.Context()))
	id := b.enqueue(nil)
	b.wait(r, 1)

	stopped := make(chan error, 1)
	go func() { stopped <- engine.Stop(context.Background()) }()
	b.eventually(func() bool { return engine.Ready() != nil })
	require.Empty(t, stopped)
	release()

	require.NoError(t, <-stopped)
	require.Equal(t, []string{"delivered"}, b.history(id), "what was under way is recorded when Stop returns")
	require.ErrorIs(t, engine.Ready(), delivery.ErrNotStarted)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.engine`))
}

func TestStop_OneThatInterruptsARequestSaysSoAndAnotherEngineGoesOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	engine := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Stop = 50 * time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))
	id := b.enqueue(nil)
	b.wait(r, 1)

	require.ErrorContains(t, engine.Stop(context.Background()), "requests were interrupted")

	require.Equal(t, []string{"interrupted"}, b.history(id), "a request that went out is an attempt")
	require.Zero(t, b.deliveries(id)[0].Attempts, "but it uses up nothing of the schedule")
	b.start(b.engine(nil))
	b.wait(r, 2)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
	require.Equal(t, 1, b.deliveries(id)[0].Attempts)
}

// One request is under way and hangs, the others wait for their turn: they had
// no attempt, and the same River job takes them up again.
func TestStop_WhatItFindsNotYetSentHasHadNoAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hangs := b.receiver(&deliverytest.ReceiverConfig{Answer: func(req deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Hang: req.Number == 1}
	}})
	for range 3 {
		b.subscribe(hangs, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	}
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.InFlight, cfg.Timeouts.Stop = 1, 50*time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))
	id := b.enqueue(nil)
	b.wait(hangs, 1)

	require.Error(t, engine.Stop(context.Background()))
	require.Len(t, hangs.Requests(), 1)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.attempt`))
	b.start(b.engine(nil))

	b.wait(hangs, 4)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 3 })
	require.Len(t, b.deliveries(id), 3)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'interrupted'`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_deliver'`),
		"only what was interrupted needed a job of its own")
}

func TestStart_AnEngineStopsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, engine.Start(ctx))
	require.NoError(t, engine.Ready())

	cancel()

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.engine`) == 0 })
	require.ErrorIs(t, engine.Ready(), delivery.ErrNotStarted)
	require.ErrorIs(t, engine.Start(t.Context()), delivery.ErrNotStarted, "an engine starts once")
	require.NoError(t, engine.Stop(t.Context()))
}

// vanish lets an engine end as by a power failure while it waits for the n-th
// request's answer: nothing that happens to it is recorded any more.
func (b *bundle) vanish(r *deliverytest.Receiver, n int) {
	b.t.Helper()
	pool, err := pgxPool(b.t.Context(), b.pool.Config().ConnString())
	require.NoError(b.t, err)
	engine, err := delivery.New(pool, &b.cfg)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := engine.RunDue(ctx)
		ended <- err
	}()
	b.wait(r, n)
	pool.Close()
	cancel()
	require.Error(b.t, <-ended)
}

func TestAttempt_TheThirdInterruptionInARowCountsAsAFailure(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hang := deliverytest.Answer{Hang: true}
	r := b.receiver(nil)
	r.Script(hang, hang, hang)
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "twice" })

	id := b.enqueue(nil)
	for n := 1; n <= 3; n++ {
		b.vanish(r, n)
		require.Zero(t, b.deliveries(id)[0].Attempts)
		require.Equal(t, 1, b.exec(`UPDATE riverhook.river_job SET state = 'available' WHERE state = 'running'`))
	}
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 3)
	d := b.deliveries(id)[0]
	require.Equal(t, []string{"interrupted", "interrupted", "interrupted"}, b.outcomes(d.ID))
	require.Equal(t, 1, d.Attempts)
	require.InDelta(t, time.Hour, b.dueIn(d.ID), float64(time.Minute))
	b.pass(time.Hour)
	b.drain(b.engine(nil))
	require.Equal(t, "delivered", b.deliveries(id)[0].State)
}

// A run that ended before its expansion was committed has sent nothing.
func TestAttempt_ARunThatEndedBeforeItsExpansionIsNoInterruptedOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)

	id := b.enqueue(nil)
	b.exec(`UPDATE riverhook.river_job SET attempt = 1, attempted_by = '{gone}'`)
	b.drain(b.engine(nil))

	require.Equal(t, []string{"delivered"}, b.history(id))
}

// The engine is believed dead, another takes its delivery over, and then it
// comes back with an answer.
func TestRecord_KeepsAZombiesAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, release := b.hangingFirst(deliverytest.Answer{Status: 500})
	b.subscribe(r, nil)
	zombie := b.engine(func(cfg *delivery.Config) { cfg.ID = "zombie" })
	id := b.enqueue(nil)
	var ran sync.WaitGroup
	ran.Go(func() { b.drain(zombie) })
	b.wait(r, 1)

	b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = "heir" }))
	b.eventually(func() bool {
		b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE process = $1`, zombie.Process())
		return len(r.Requests()) == 2 && b.deliveries(id)[0].State == "delivered"
	})
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
	release()
	ran.Wait()

	d := b.deliveries(id)[0]
	require.Equal(t, "delivered", d.State)
	require.Equal(t, 1, d.Attempts)
	require.Equal(t, "delivered", d.Outcome)
	attempts := b.attempts(d.ID)
	require.Len(t, attempts, 2)
	require.Equal(t, "failed", attempts[0].Outcome, "what came back after all")
	require.Equal(t, 500, attempts[0].Status)
	require.Equal(t, "zombie", attempts[0].Engine)
	require.Equal(t, "heir", attempts[1].Engine)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_deliver'`))
}

// A chunk's job is deleted before it runs, and each job is run once more when
// all is done.
func TestFanOut_ReachesEachOnceWhateverBecomesOfItsJobs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var deleted sync.Once
	var receivers []*deliverytest.Receiver
	var subs []uuid.UUID
	for range 7 {
		r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
			deleted.Do(func() {
				_, _ = b.pool.Exec(context.Background(), `DELETE FROM riverhook.river_job WHERE kind = 'riverhook_chunk'`)
			})
			return deliverytest.Answer{}
		}})
		receivers = append(receivers, r)
		subs = append(subs, b.subscribe(r, nil).ID)
	}
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.ChunkSize = 2 })

	id := b.enqueue(nil)
	b.drain(engine)
	b.drain(engine)
	require.Equal(t, "expanded", b.text(`SELECT state FROM riverhook.intent_state`))
	require.Positive(t, b.exec(`UPDATE riverhook.river_job SET state = 'available', finalized_at = NULL`))
	b.drain(engine)

	for _, r := range receivers {
		require.Len(t, r.Requests(), 1)
	}
	require.Len(t, b.deliveries(id), len(subs))
	require.Equal(t, len(subs), b.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Equal(t, len(subs), b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`))
}

func TestRecord_AnApplicationThatHoldsASubscriptionDelaysNothing(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"locked":  `SELECT 1 FROM riverhook.subscription WHERE id = $1 FOR UPDATE`,
		"changed": `UPDATE riverhook.subscription SET state = 'paused', name = 'new' WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			held, other := b.receiver(nil), b.receiver(nil)
			held.Script(deliverytest.Answer{Status: 500})
			sub := b.subscribe(held, nil)
			b.subscribe(other, nil)
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), statement, sub.ID)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()

			id := b.enqueue(nil)
			_, err = deliverytest.RunAhead(ctx, b.engine(nil), time.Minute)
			require.NoError(t, err)

			require.Equal(t, []string{"failed", "delivered"}, b.outcomes(b.delivery(id, sub.ID).ID))
			require.Len(t, other.Requests(), 1)
			require.NoError(t, tx.Rollback(t.Context()))
		})
	}
}

func TestDeactivate_WaitsForAnApplicationThatHoldsTheSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	goner, other := b.receiver(nil), b.receiver(nil)
	goner.Script(deliverytest.Answer{Status: 410})
	other.Script(deliverytest.Answer{Status: 410})
	held, free := b.subscribe(goner, nil), b.subscribe(other, nil)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT 1 FROM riverhook.subscription WHERE id = $1 FOR UPDATE`, held.ID)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	engine := b.engine(nil)

	b.enqueue(nil)
	_, err = engine.RunDue(ctx)
	require.NoError(t, err)
	require.Equal(t, subscription.StateActive, b.subscription(held.ID).State)
	require.Equal(t, subscription.StateDeactivated, b.subscription(free.ID).State)
	second := b.enqueue(nil)
	b.drain(engine)
	require.Len(t, goner.Requests(), 1, "nothing more goes to an endpoint that is gone")
	require.NoError(t, tx.Commit(t.Context()))
	b.drain(engine)

	require.Equal(t, subscription.StateDeactivated, b.subscription(held.ID).State)
	b.pass(time.Minute)
	b.drain(engine)
	require.Equal(t, "cancelled", b.delivery(second, held.ID).State)
	require.Len(t, goner.Requests(), 1)
}

// What fails for good must end in sight, not in River's list of errors.
func TestExpand_AnIntentThatCannotBeExpandedFailsVisibly(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	b.cfg.Tree = treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) {
		return nil, nil
	})
	engine := b.engine(nil)

	b.enqueue(nil)
	b.exec(`UPDATE riverhook.river_job SET attempt = 40, errors = array_fill('{}'::jsonb, ARRAY[18])`) // processes have died as well
	_, err := engine.RunDue(t.Context())
	require.ErrorContains(t, err, "broke its contract")
	require.Equal(t, "pending", b.text(`SELECT state FROM riverhook.intent_state`))
	b.exec(`UPDATE riverhook.river_job SET errors = array_fill('{}'::jsonb, ARRAY[19])`)
	b.pass(time.Minute)
	_, err = engine.RunDue(t.Context())
	require.ErrorContains(t, err, "broke its contract")

	require.Equal(t, "failed", b.text(`SELECT state FROM riverhook.intent_state`))
	require.Contains(t, b.text(`SELECT reason FROM riverhook.intent_state`), "broke its contract")
	require.Empty(t, r.Requests())
}

// A job that cannot read or write the database waits; that is not held against
// the intent, however long it takes.
func TestDatabase_AJobWaitsWhileItCannotBeUsed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	b.start(b.engine(nil))
	b.exec(`ALTER VIEW riverhook.subscription_circuit RENAME TO elsewhere`)

	id := b.enqueue(nil)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.river_job WHERE metadata ? 'snoozes'`) == 1
	})
	b.exec(`ALTER VIEW riverhook.elsewhere RENAME TO subscription_circuit`)

	b.wait(r, 1)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"delivered"}, b.history(id))
	require.Equal(t, 1, b.count(`SELECT attempt FROM riverhook.river_job`))
}

func TestExpand_AnErrorOfTheTreeIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	var once sync.Once
	b.cfg.Tree = treeFunc(func(_ context.Context, p hierarchy.Path) (chain []hierarchy.Path, err error) {
		once.Do(func() { err = errors.New("tree is down") })
		return p.Ancestors(), err
	})
	b.start(b.engine(nil))

	id := b.enqueue(nil)

	b.wait(r, 1)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"delivered"}, b.history(id), "nothing was sent before, so nothing was interrupted")
	require.Equal(t, 1, b.count(`SELECT attempt FROM riverhook.river_job`), "it does not count as a try")
}
