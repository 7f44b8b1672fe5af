package main

import (
	"context"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/outbox"
)

// ourDelivery is a variant that the engine does.
type ourDelivery struct {
	*world

	name      string
	events    int
	fanout    int
	types     int // 0 is 1
	producers int

	bench  *bench
	client *outbox.Client
}

// eventTypes are those of the backlog, each with its own subscriptions.
func (o *ourDelivery) eventTypes() []string {
	types := make([]string, max(o.types, 1))
	for i := range types {
		types[i] = fmt.Sprintf("bench.%s.t%d", o.name, i)
	}
	return types
}

func (o *ourDelivery) liveType() string { return "bench.live." + o.name }

func (o *ourDelivery) liveBook() string { return o.name + "_live" }

func (o *ourDelivery) subscribe(ctx context.Context) error {
	for _, eventType := range o.eventTypes() {
		if err := subscribe(ctx, o.subs, eventType, o.bench.receiver.url(pathCount, o.name), o.fanout); err != nil {
			return err
		}
	}
	return subscribe(ctx, o.subs, o.liveType(), o.bench.receiver.url(pathCount, o.liveBook()), o.fanout)
}

// window is what was measured from the commit of events until all of them were
// delivered and recorded.
type window struct {
	cost       cost
	deliveries int
	laterJobs  int
}

func (o *ourDelivery) measure(ctx context.Context, last bool) (w window, err error) {
	engine, err := newEngine(o.pool, o.name)
	if err != nil {
		return w, err
	}
	if err := engine.Start(ctx); err != nil {
		return w, err
	}
	if _, err = o.window(ctx, max(o.events/20, 1), 0, false); err != nil {
		return w, fmt.Errorf("warm up: %w", err)
	}
	if err := o.bench.settle(ctx); err != nil {
		return w, err
	}
	if w, err = o.window(ctx, o.events, o.producers, last); err != nil {
		return w, err
	}
	if err := o.check(ctx); err != nil {
		return w, err
	}
	return w, engine.Stop(ctx)
}

// window commits events in one transaction and measures what follows.
func (o *ourDelivery) window(ctx context.Context, events, producers int, profiled bool) (w window, err error) {
	before, err := o.bench.receiver.count(ctx, o.name)
	if err != nil {
		return w, err
	}
	tx, err := o.pool.Begin(ctx)
	if err != nil {
		return w, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it is committed by then
	for n := events; n > 0; n -= enqueueBatch {
		if _, err := o.client.EnqueueMany(ctx, tx, someIntents(min(n, enqueueBatch), o.eventTypes()...)); err != nil {
			return w, err
		}
	}
	live, err := o.startProducers(ctx, producers)
	if err != nil {
		return w, err
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return w, err
	}
	m, err := o.bench.startMeter(ctx, o.pool)
	if err != nil {
		return w, err
	}
	stop, err := o.bench.startProfile(o.name, profiled)
	if err != nil {
		return w, err
	}
	live.begin()
	if err := tx.Commit(ctx); err != nil {
		return w, err
	}
	err = o.bench.receiver.waitFor(ctx, o.name, before+events*o.fanout)
	if err == nil {
		err = o.recorded(ctx, producers > 0)
	}
	if err != nil {
		return w, fmt.Errorf("%w (%s)", err, o.state(ctx))
	}
	if w.cost, err = m.end(ctx); err != nil {
		return w, err
	}
	stop()
	more, err := live.end(ctx)
	if err != nil {
		return w, err
	}
	jobsNow, err := o.jobs(ctx)
	w.deliveries = events*o.fanout + more
	w.laterJobs = jobsNow - jobs - int(live.committed.Load())
	return w, err
}

// recorded waits until all deliveries are recorded, or those of the backlog where
// there are others.
func (o *ourDelivery) recorded(ctx context.Context, others bool) error {
	if !others {
		return settled(ctx, o.pool)
	}
	for {
		var pending bool
		err := o.pool.QueryRow(ctx, `SELECT EXISTS (
			SELECT FROM riverhook.delivery d JOIN riverhook.subscription s ON s.id = d.subscription_id
			WHERE d.due_at IS NOT NULL AND s.events <> ARRAY[$1]
		) OR EXISTS (
			SELECT FROM riverhook.delivery d JOIN riverhook.subscription s ON s.id = d.subscription_id
			WHERE d.hold <> '' AND s.events <> ARRAY[$1]
		) OR EXISTS (
			SELECT FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id
			WHERE s.due_at IS NOT NULL AND i.type <> $1
				AND (SELECT true FROM riverhook.delivery d WHERE d.intent_id = s.intent_id AND d.state = 'pending' LIMIT 1)
		)`, o.liveType()).Scan(&pending)
		if err != nil || !pending {
			return err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// check makes sure that the window did its work: figures of anything else mean
// nothing.
func (o *ourDelivery) check(ctx context.Context) error {
	if err := settled(ctx, o.pool); err != nil {
		return err
	}
	var wrong int
	if err := o.pool.QueryRow(ctx, "SELECT count(*) FROM riverhook.delivery WHERE state <> 'delivered'").Scan(&wrong); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d deliveries were not delivered (%s)", wrong, o.state(ctx))
	}
	return nil
}

// jobs is how many River jobs there have been; River forgets them after minutes.
func (o *ourDelivery) jobs(ctx context.Context) (n int, err error) {
	err = o.pool.QueryRow(ctx, "SELECT last_value FROM riverhook.river_job_id_seq").Scan(&n)
	return n, err
}

// state tells where deliveries are, for the error of a window that got stuck.
func (o *ourDelivery) state(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var state string
	err := o.pool.QueryRow(ctx, `SELECT coalesce(string_agg(format('%s %s %s: %s', state, hold, reason, n), ', '), 'no deliveries')
		FROM (SELECT state, hold, reason, count(*) AS n FROM riverhook.delivery GROUP BY 1, 2, 3) d`).Scan(&state)
	if err != nil {
		return err.Error()
	}
	return state
}
