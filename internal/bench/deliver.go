package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/outbox"
)

// deliver measures deliveries a second.
//
// ceiling is a River job for each bare POST with the settings that suit it best,
// the window including their insertion; naive adds what a history costs with one
// transaction an attempt. fanout_N is the engine: intents are enqueued in one
// transaction, the window begins with its commit and ends when the last delivery
// is recorded as delivered. Each intent goes to N subscriptions of the operator
// with the receiver as their URL; fanout_1_spread has a hundred event types with
// one subscription each instead of one. producers_fanout_N is the same while
// eight producers commit one event a transaction as fast as they can, until the
// last delivery of the backlog is recorded; their deliveries count too.
func deliver(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	runs, closeAll, err := deliverRuns(ctx, b)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	rounds := of(b.size, 1, 3, 5)
	costs := map[string][]cost{}
	for round := range rounds {
		for _, v := range runs {
			if !b.only.MatchString(v.name) {
				continue
			}
			c, err := v.measure(ctx, round == rounds-1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			one := c.each(v.counted)
			b.sayf("  round %d: %-20s %6.0f/s, µs: %3.0f engine, %3.0f Postgres, %3.0f receiver", round+1, v.name, perSecond(one),
				microseconds(one.engine), microseconds(one.postgres), microseconds(one.receiver))
			costs[v.name] = append(costs[v.name], one)
		}
	}
	return deliverResult(runs, costs), nil
}

// each is the cost of one of n.
func (c cost) each(n int) cost {
	d := time.Duration(n)
	return cost{
		elapsed:  c.elapsed / d,
		engine:   c.engine / d,
		postgres: c.postgres / d,
		receiver: c.receiver / d,
		wal:      c.wal / float64(n),
	}
}

// deliverRun is one variant of the scenario.
type deliverRun struct {
	name    string
	counted int // deliveries in the last window
	measure func(ctx context.Context, last bool) (cost, error)

	// laterJobs are the deliveries of each window that were not made in the job
	// of their intent, for each delivery: held for a slot, and tried again.
	laterJobs []float64
}

func deliverRuns(ctx context.Context, b *bench) (runs []*deliverRun, closeAll func(), err error) {
	var pools []*pgxpool.Pool
	closeAll = func() {
		for _, pool := range pools {
			pool.Close()
		}
	}
	n := of(b.size, 200, 4000, 40_000)
	for _, naive := range []bool{false, true} {
		v := &deliverRun{name: "ceiling", counted: n}
		if naive {
			v.name, v.counted = "naive", n/2
		}
		base, err := newBaseline(ctx, b, v.name, b.receiver.url(pathCount, v.name), naive, quickRiver())
		if base != nil {
			pools = append(pools, base.pool)
		}
		if err != nil {
			return nil, closeAll, err
		}
		v.measure = func(ctx context.Context, last bool) (cost, error) { return b.measureBaseline(ctx, base, v, last) }
		runs = append(runs, v)
	}
	w, err := b.newWorld(ctx, "ours")
	if err != nil {
		return nil, closeAll, err
	}
	pools = append(pools, w.pool)
	client, err := outbox.New(nil)
	if err != nil {
		return nil, closeAll, err
	}
	ours := []ourDelivery{
		{
			name:   "fanout_1",
			events: n,
			fanout: 1,
		},
		{
			name:   "fanout_1_spread",
			events: n,
			fanout: 1,
			types:  100,
		},
		{
			name:   "fanout_10",
			events: n / 4,
			fanout: 10,
		},
		{
			name:   "fanout_100",
			events: n / 40,
			fanout: 100,
		},
		{
			name:      "producers_fanout_1",
			events:    n / 4,
			fanout:    1,
			producers: 8,
		},
		{
			name:      "producers_fanout_10",
			events:    n / 8,
			fanout:    10,
			producers: 8,
		},
		{
			name:      "producers_fanout_100",
			events:    n / 80,
			fanout:    100,
			producers: 8,
		},
	}
	for i := range ours {
		o := &ours[i]
		o.bench = b
		o.client = client
		o.world = w
		if err := o.subscribe(ctx); err != nil {
			return nil, closeAll, err
		}
		v := &deliverRun{name: o.name}
		v.measure = func(ctx context.Context, last bool) (cost, error) {
			w, err := o.measure(ctx, last)
			v.counted = w.deliveries
			v.laterJobs = append(v.laterJobs, float64(w.laterJobs)/float64(max(w.deliveries, 1)))
			return w.cost, err
		}
		runs = append(runs, v)
	}
	return runs, closeAll, nil
}

func (b *bench) measureBaseline(ctx context.Context, base *baseline, v *deliverRun, last bool) (c cost, err error) {
	const inserters = 2
	if err := base.start(ctx); err != nil {
		return c, err
	}
	if err := base.work(ctx, v.counted/20, inserters); err != nil { // to warm up
		return c, err
	}
	if err := b.settle(ctx); err != nil {
		return c, err
	}
	m, err := b.startMeter(ctx, base.pool)
	if err != nil {
		return c, err
	}
	stop, err := b.startProfile(v.name, last)
	if err != nil {
		return c, err
	}
	if err := base.work(ctx, v.counted, inserters); err != nil {
		return c, err
	}
	if c, err = m.end(ctx); err != nil {
		return c, err
	}
	stop()
	return c, base.stop(ctx)
}
