package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/outbox"
)

// fastType are the events of the endpoint whose latency is measured.
const fastType = "bench.fast"

// oneEngine is a database with a subscription to fastType whose endpoint keeps a
// log of the same name.
type oneEngine struct {
	*world

	bench  *bench
	client *outbox.Client
	name   string
}

func newOneEngine(ctx context.Context, b *bench, name string) (*oneEngine, error) {
	w, err := b.newWorld(ctx, name)
	if err != nil {
		return nil, err
	}
	o := &oneEngine{
		bench: b,
		name:  name,
		world: w,
	}
	if o.client, err = outbox.New(nil); err != nil {
		return nil, err
	}
	return o, subscribe(ctx, w.subs, fastType, b.receiver.url(pathLog, name), 1)
}

// latencies runs an engine for as long as they are measured.
func (o *oneEngine) latencies(ctx context.Context, rate float64, n int) (values []float64, err error) {
	engine, err := newEngine(o.pool, "latency")
	if err != nil {
		return nil, err
	}
	if err := engine.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Stop(ctx)) }()
	return o.measure(ctx, rate, n)
}

// measure is latencies beside an engine that runs.
func (o *oneEngine) measure(ctx context.Context, rate float64, n int) ([]float64, error) {
	publish := publishIntents(o.client, o.pool, fastType)
	if _, err := o.bench.latencies(ctx, o.name, rate, o.bench.warmUp(), publish); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	return o.bench.latencies(ctx, o.name, rate, n, publish)
}
