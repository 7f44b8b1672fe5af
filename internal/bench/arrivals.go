package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A publisher commits one event in a transaction of its own and returns its
// webhook-id and the time at which Commit returned.
type publisher func(ctx context.Context) (id string, committed time.Time, err error)

// latencies publishes n events at random times, rate a second on average, and
// returns how many milliseconds lie between each commit and the arrival of the
// request in a log of the receiver. Events are published whether or not earlier
// ones have arrived, as users do. The times are random but the same in each run.
func (b *bench) latencies(ctx context.Context, logName string, rate float64, n int, publish publisher) ([]float64, error) {
	before, err := b.receiver.count(ctx, logName)
	if err != nil {
		return nil, err
	}
	committed, err := publishAll(ctx, rate, n, publish)
	if err != nil {
		return nil, err
	}
	if err := b.receiver.waitFor(ctx, logName, before+n); err != nil {
		return nil, err
	}
	arrived, err := b.receiver.arrivals(ctx, logName, before)
	if err != nil {
		return nil, err
	}
	values := make([]float64, 0, n)
	for _, a := range arrived {
		at, ok := committed[a.ID]
		if !ok {
			continue // of an earlier measurement, a second time
		}
		delete(committed, a.ID)
		values = append(values, milliseconds(time.Unix(0, a.At).Sub(at)))
	}
	if len(committed) > 0 {
		return nil, fmt.Errorf("%d of %d events did not arrive", len(committed), n)
	}
	return values, nil
}

// publishAll returns when each event was committed, by its webhook-id.
func publishAll(ctx context.Context, rate float64, n int, publish publisher) (map[string]time.Time, error) {
	var (
		committed = make(map[string]time.Time, n)
		errs      []error
		mu        sync.Mutex
		random    = rand.New(rand.NewPCG(uint64(n), uint64(rate))) //nolint:gosec // times need not be secret
		running   sync.WaitGroup
	)
	defer running.Wait()
	next := time.Now()
	for range n {
		next = next.Add(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
		if err := pause(ctx, time.Until(next)); err != nil {
			return nil, err
		}
		running.Go(func() {
			id, at, err := publish(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			committed[id] = at
		})
	}
	running.Wait()
	return committed, errors.Join(errs...)
}
