package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// latency measures the milliseconds from the return of Commit to the arrival of
// the request, at 20 and at 200 events a second at random times.
//
// one_hop is a River job of one bare POST, inserted by InsertTx and worked by a
// client with the engine's settings: what a single hop from commit to wire costs
// here. The two take turns, so that neither runs beside the other.
func latency(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	ours, err := newOneEngine(ctx, b, "latency")
	if err != nil {
		return nil, err
	}
	defer ours.pool.Close()
	oneHop, err := newBaseline(ctx, b, "one_hop", b.receiver.url(pathLog, "one_hop"), false, river.Config{
		// The engine's own: see delivery's fetchCooldown and pollInterval.
		FetchCooldown:     time.Millisecond,
		FetchPollInterval: 100 * time.Millisecond,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}},
	})
	if err != nil {
		return nil, err
	}
	defer oneHop.pool.Close()

	var (
		r      = newResult()
		rounds = of(b.size, 1, 2, 3)
		values = map[string][]float64{}
		ratios []float64
	)
	for round := range rounds {
		for _, rate := range []int{20, 200} {
			n := of(b.size, 5, rate*5, 1000)
			name := fmt.Sprintf("ours_%d", rate)
			found, err := ours.latencies(ctx, float64(rate), n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			values[name] = append(values[name], found...)
			base := fmt.Sprintf("one_hop_%d", rate)
			bare, err := oneHop.latencies(ctx, b, "one_hop", float64(rate), n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", base, err)
			}
			values[base] = append(values[base], bare...)
			b.sayf("  round %d: %3d/s: ours p50 %.2f ms, p95 %.2f ms; one hop p50 %.2f ms, p95 %.2f ms", round+1, rate,
				median(found), percentile(found, 95), median(bare), percentile(bare, 95))
			if rate == 20 {
				ratios = append(ratios, median(found)/median(bare))
			}
		}
	}
	for name, all := range values {
		r.percentiles(name, all)
	}
	r.ratio("p50_of_one_hop_20", median(ratios))
	r.ratio("p50_ms_20", median(values["ours_20"]))
	r.ratio("p95_ms_20", percentile(values["ours_20"], 95))
	return r, nil
}

// percentiles are figures of latencies in milliseconds.
func (r *result) percentiles(name string, values []float64) {
	r.figure(name+"_n", float64(len(values)))
	for _, p := range []float64{50, 95, 99} {
		r.figure(fmt.Sprintf("%s_p%.0f_ms", name, p), percentile(values, p))
	}
	r.figure(name+"_max_ms", percentile(values, 100))
}

// latencies runs the baseline for as long as they are measured.
func (l *baseline) latencies(ctx context.Context, b *bench, logName string, rate float64, n int) (values []float64, err error) {
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop(ctx)) }()
	if _, err := b.latencies(ctx, logName, rate, b.warmUp(), l.publishJobs()); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	return b.latencies(ctx, logName, rate, n, l.publishJobs())
}
