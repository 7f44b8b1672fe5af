package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// neighbour measures what bad endpoints do to a good one: the latency of a fast
// endpoint at 20 events a second, first alone (quiet), then right behind 1,000
// events for an endpoint that takes 3 s for an answer and 1,000 for one that
// accepts requests and never answers. A round has an engine of its own and a
// database of its own, so each quiet run is followed by its own noisy one.
func neighbour(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	var (
		r              = newResult()
		quiet, noisy   []float64
		p50s, p99s     []float64
		slowed, hanged []float64
	)
	for round := range of(b.size, 1, 1, 3) {
		n := &neighbours{bad: of(b.size, 20, 1000, 1000), events: of(b.size, 5, 200, 1000)}
		if err := n.run(ctx, b, round); err != nil {
			return nil, err
		}
		b.sayf("  round %d: quiet p50 %.2f ms, p99 %.2f ms; with neighbours p50 %.2f ms, p99 %.2f ms", round+1,
			median(n.quiet), percentile(n.quiet, 99), median(n.noisy), percentile(n.noisy, 99))
		quiet, noisy = append(quiet, n.quiet...), append(noisy, n.noisy...)
		p50s = append(p50s, median(n.noisy)/median(n.quiet))
		p99s = append(p99s, percentile(n.noisy, 99)/percentile(n.quiet, 99))
		slowed, hanged = append(slowed, float64(n.slow)), append(hanged, float64(n.hung))
	}
	r.percentiles("quiet", quiet)
	r.percentiles("noisy", noisy)
	r.figure("requests_to_slow", median(slowed))
	r.figure("requests_to_hung", median(hanged))
	r.ratio("p50_of_quiet", median(p50s))
	r.ratio("p99_of_quiet", median(p99s))
	return r, nil
}

// neighbours is one round.
type neighbours struct {
	bad    int // events for each bad endpoint
	events int // for the fast one, in each run

	quiet, noisy []float64
	slow, hung   int // requests that the bad ones got meanwhile
}

const (
	slowType = "bench.slow"
	hungType = "bench.hung"
	slowTime = 3 * time.Second
)

func (n *neighbours) run(ctx context.Context, b *bench, round int) (err error) {
	name := fmt.Sprintf("neighbour_%d", round)
	o, err := newOneEngine(ctx, b, name)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	slow, hung := name+"_slow", name+"_hung"
	if err := subscribe(ctx, o.subs, slowType, b.receiver.slowURL(slow, slowTime), 1); err != nil {
		return err
	}
	if err := subscribe(ctx, o.subs, hungType, b.receiver.url(pathHang, hung), 1); err != nil {
		return err
	}
	engine, err := newEngine(o.pool, name)
	if err != nil {
		return err
	}
	if err := engine.Start(ctx); err != nil {
		return err
	}
	const rate = 20
	if n.quiet, err = o.measure(ctx, rate, n.events); err != nil {
		return errors.Join(err, engine.Stop(ctx))
	}
	if err := o.enqueueAll(ctx, n.bad, slowType, hungType); err != nil {
		return errors.Join(err, engine.Stop(ctx))
	}
	n.noisy, err = b.latencies(ctx, o.name, rate, n.events, publishIntents(o.client, o.pool, fastType))
	if err != nil {
		return errors.Join(err, engine.Stop(ctx))
	}
	if n.slow, err = b.receiver.count(ctx, slow); err != nil {
		return err
	}
	if n.hung, err = b.receiver.count(ctx, hung); err != nil {
		return err
	}
	// Requests hang until they time out: that they are interrupted is as it must be.
	stopCtx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = engine.Stop(stopCtx)
	return nil
}

// enqueueAll commits n events of each type, a hundred a transaction, in turn.
func (o *oneEngine) enqueueAll(ctx context.Context, n int, types ...string) error {
	for ; n > 0; n -= enqueueBatch {
		for _, eventType := range types {
			err := pgx.BeginFunc(ctx, o.pool, func(tx pgx.Tx) error {
				_, err := o.client.EnqueueMany(ctx, tx, someIntents(min(n, enqueueBatch), eventType))
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
