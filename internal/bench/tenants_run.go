package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const (
	loudType     = "bench.loud"
	loudSite     = "/loud"
	quietTenants = 4
	askedType    = "bench.ask"
)

// tenantsRun is one kind of loud tenant beside the quiet ones, in a database of its own.
type tenantsRun struct {
	*world

	bench   *bench
	client  *outbox.Client
	engines []*delivery.Engine
	loud    *loudTenant
	name    string

	quiet, beside   quietTimes
	alone, together float64 // requests a second to the endpoint of the loud tenant
	unanswered      atomic.Int64
}

// quietTimes are those of a stretch, in ms: from the commit of an event to its request, and
// of a question.
type quietTimes struct {
	events []float64
	asks   []float64
}

// window is how long a stretch is: of slow answers it has several.
func (t *tenantsRun) window() time.Duration {
	return max(of(t.bench.size, 100*time.Millisecond, 2500*time.Millisecond, 15*time.Second), 7*t.loud.answer/2)
}

func (t *tenantsRun) run(ctx context.Context, b *bench) (err error) {
	t.bench, t.name = b, "tenants_"+t.loud.name
	if t.world, err = b.newWorld(ctx, t.name); err != nil {
		return err
	}
	defer t.pool.Close()
	if t.client, err = outbox.New(&outbox.Config{MaxDataBytes: 1 << 20}); err != nil {
		return err
	}
	if err := t.subscribe(ctx); err != nil {
		return err
	}
	stop, err := t.start(ctx)
	defer func() { stop() }() //nolint:gocritic // it is that of other engines later
	if err != nil {
		return err
	}
	if _, err = t.quietly(ctx, b.warmUp()); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	if t.quiet, err = t.quietly(ctx, t.events()); err != nil {
		return err
	}
	if t.loud.before {
		stop()
	}
	if err := t.commit(ctx); err != nil {
		return err
	}
	if t.loud.before {
		if stop, err = t.start(ctx); err != nil {
			return err
		}
	}
	t.together, err = t.pace(ctx, func() (err error) {
		t.beside, err = t.quietly(ctx, t.events())
		return err
	})
	if err != nil {
		return err
	}
	t.alone, err = t.pace(ctx, func() error { return pause(ctx, t.window()) })
	return err
}

// rate is that of all events of the quiet tenants together, and events how many of them a
// stretch has. They are few: one that comes alone shares no statement with others and costs as much
// as several of the loud tenant, which does without that while all processors are busy.
func (t *tenantsRun) rate() float64 { return of(t.bench.size, 100.0, 20, 10) }
func (t *tenantsRun) events() int   { return int(t.rate() * t.window().Seconds()) }

// subscribe makes the subscriptions of all tenants, and a gate.
func (t *tenantsRun) subscribe(ctx context.Context) error {
	specs := []subscription.Spec{{
		Events:     []string{"before:" + askedType},
		FailClosed: true,
		URL:        t.bench.receiver.url(pathCount, t.name+"_gate"),
	}}
	for n := range quietTenants {
		specs = append(specs, subscription.Spec{
			Events: []string{fastType},
			Site:   quietSite(n),
			URL:    t.bench.receiver.url(pathLog, t.name),
		})
	}
	for range t.loud.subscriptions {
		spec := subscription.Spec{
			Events:      []string{loudType},
			MaxInFlight: t.loud.maxInFlight,
			Site:        loudSite,
			Timeout:     maxTimeout,
			URL:         t.bench.receiver.url(pathLog, t.loudLog()),
		}
		if t.loud.answer > 0 {
			spec.URL = t.bench.receiver.slowURL(t.loudLog(), t.loud.answer)
		}
		specs = append(specs, spec)
	}
	for i := range specs {
		specs[i].Operator = true
		if _, err := t.subs.Create(ctx, specs[i]); err != nil {
			return err
		}
	}
	return nil
}

func quietSite(n int) hierarchy.Path { return hierarchy.Path(fmt.Sprint("/quiet", n%quietTenants)) }

func (t *tenantsRun) loudLog() string { return t.name + "_loud" }

// start starts engines at the same time, each with a pool of its own, until stop. Requests that
// are under way then are interrupted.
func (t *tenantsRun) start(ctx context.Context) (stop func(), err error) {
	var (
		all   sync.WaitGroup
		stops = make([]func(), t.loud.engines)
		errs  = make([]error, t.loud.engines)
	)
	t.engines = make([]*delivery.Engine, t.loud.engines)
	for n := range t.engines {
		all.Go(func() { t.engines[n], stops[n], errs[n] = t.startOne(ctx, n) })
	}
	all.Wait()
	return sync.OnceFunc(func() {
		for _, one := range stops {
			all.Go(one)
		}
		all.Wait()
	}), errors.Join(errs...)
}

func (t *tenantsRun) startOne(ctx context.Context, n int) (engine *delivery.Engine, stop func(), err error) {
	pool, err := openPool(ctx, t.url, poolSize)
	if err != nil {
		return nil, func() {}, err
	}
	if engine, err = newEngine(pool, fmt.Sprintf("tenants %d", n)); err == nil {
		err = engine.Start(ctx)
	}
	if err != nil {
		return nil, pool.Close, err
	}
	return engine, func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = engine.Stop(stopCtx) // that requests are interrupted is as it must be
		pool.Close()
	}, nil
}

// commit commits the events of the loud tenant, several transactions at once: engines that
// run meanwhile deliver slower than that.
func (t *tenantsRun) commit(ctx context.Context) error {
	const writers = 4
	each := enqueueBatch
	if t.loud.bytes > 0 {
		each = 10
	}
	intents := make([]outbox.Intent, each)
	for i := range intents {
		intents[i] = outbox.Intent{
			Data: dataOf(t.loud.bytes),
			Site: loudSite,
			Type: loudType,
		}
	}
	var (
		left    atomic.Int64
		writing sync.WaitGroup
		errs    [writers]error
	)
	left.Store(int64(t.loud.events))
	for n := range errs {
		writing.Go(func() {
			for errs[n] == nil {
				missing := left.Add(-int64(each)) + int64(each)
				if missing <= 0 {
					return
				}
				errs[n] = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
					_, err := t.client.EnqueueMany(ctx, tx, intents[:min(int(missing), each)])
					return err
				})
			}
		})
	}
	writing.Wait()
	return errors.Join(errs[:]...)
}

// quietly measures n events of the quiet tenants, and a quarter as many questions meanwhile.
func (t *tenantsRun) quietly(ctx context.Context, n int) (times quietTimes, err error) {
	var (
		turn   atomic.Int64
		asking sync.WaitGroup
		askErr error
		data   = payload
	)
	if t.loud.bytes > 0 { // so that they need bytes too
		data = dataOf(16 << 10)
	}
	asking.Go(func() { times.asks, askErr = t.ask(ctx, n/4) })
	times.events, err = t.bench.latencies(ctx, t.name, t.rate(), n, publishEach(t.client, t.pool, func() outbox.Intent {
		return outbox.Intent{
			Data: data,
			Site: quietSite(int(turn.Add(1))),
			Type: fastType,
		}
	}))
	asking.Wait()
	return times, errors.Join(err, askErr)
}

// ask measures n questions to the gate.
func (t *tenantsRun) ask(ctx context.Context, n int) (times []float64, err error) {
	var mu sync.Mutex
	_, err = publishAll(ctx, t.rate()/4, n, func(ctx context.Context) (id string, answered time.Time, err error) {
		began := time.Now()
		_, err = t.engines[0].Ask(ctx, delivery.Question{Type: askedType, Data: payload})
		answered = time.Now()
		if errors.Is(err, delivery.ErrUnanswered) {
			t.unanswered.Add(1)
			err = nil
		}
		mu.Lock()
		defer mu.Unlock()
		times = append(times, milliseconds(answered.Sub(began)))
		return uuid.NewString(), answered, err
	})
	return times, err
}

// pace is how many requests a second the endpoint of the loud tenant gets in a stretch.
func (t *tenantsRun) pace(ctx context.Context, stretch func() error) (float64, error) {
	from, err := t.bench.receiver.count(ctx, t.loudLog())
	if err != nil {
		return 0, err
	}
	if err := stretch(); err != nil {
		return 0, err
	}
	arrived, err := t.bench.receiver.arrivals(ctx, t.loudLog(), from)
	return paceOf(arrived, t.loud.answer), err
}

// paceOf is the pace of requests that are answered after a time. Those that came together with
// the first one are no part of it: they were under way at once.
func paceOf(arrived []arrival, answer time.Duration) float64 {
	if len(arrived) == 0 {
		return 0
	}
	first := arrived[0].At
	later, last := 0, first
	for _, a := range arrived {
		if a.At > first+int64(answer/2) {
			later++
		}
		last = max(last, a.At)
	}
	if last == first {
		return 0
	}
	return float64(later) / time.Duration(last-first).Seconds()
}
