package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/riverhook/riverhook/outbox"
)

// crash measures what SIGKILL does. Two engines, in processes of their own, share
// a steady load to endpoints that answer after 100 ms; at random moments one of
// them is killed, at least once the leader of River, and another is started in
// its place. All is counted at the receiver:
//
//   - lost: events that were committed and never arrived;
//   - duplicated: requests for events that had arrived before;
//   - in_flight_at_kills: events that had arrived, carried by a job of the engine
//     that was killed, and were not recorded when it was dead;
//   - resume_seconds_max: the longest time from a kill until the last event that
//     the killed engine had under way (in_flight, and those not sent yet) arrived
//     again or for the first time.
func crash(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, 2*time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	c := &crashRun{
		bench:  b,
		events: of(b.size, 100, 5000, 20_000),
		kills:  of(b.size, 1, 3, 5),
		// So that a load of 500/s, which two engines carry easily, goes on during all kills.
		rate:      of(b.size, 400.0, 500, 500),
		committed: map[string]time.Time{},
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	defer c.pool.Close()
	if err := c.run(ctx); err != nil {
		return nil, errors.Join(err, c.stopEngines())
	}
	return c.result(), nil
}

type crashRun struct {
	*world

	bench  *bench
	client *outbox.Client
	events int
	kills  int
	rate   float64

	committed map[string]time.Time
	engines   []*crashEngine // two at a time
	started   int            // engines so far
	killed    []kill
	arrivals  []arrival
}

type crashEngine struct {
	id      string
	process *child
}

const (
	crashBook  = "crash"
	crashDelay = 100 * time.Millisecond
	crashTypes = 20 // with a subscription each
)

func (c *crashRun) prepare(ctx context.Context) (err error) {
	if c.world, err = c.bench.newWorld(ctx, "crash"); err != nil {
		return err
	}
	if c.client, err = outbox.New(nil); err != nil {
		return err
	}
	for i := range crashTypes {
		if err := subscribe(ctx, c.subs, crashType(i), c.bench.receiver.slowURL(crashBook, crashDelay), 1); err != nil {
			return err
		}
	}
	for range 2 {
		if err := c.startEngine(ctx); err != nil {
			return err
		}
	}
	return nil
}

func crashType(i int) string { return fmt.Sprintf("bench.crash.t%d", i%crashTypes) }

func (c *crashRun) startEngine(ctx context.Context) error {
	c.started++
	id := fmt.Sprintf("bench_%d", c.started)
	process, err := startEngine(ctx, c.url, id)
	if err != nil {
		return err
	}
	c.engines = append(c.engines, &crashEngine{id, process})
	return nil
}

func (c *crashRun) stopEngines() error {
	var errs []error
	for _, e := range c.engines {
		errs = append(errs, e.process.close())
	}
	c.engines = nil
	return errors.Join(errs...)
}

// run kills while events are published, and waits until all that was committed
// is recorded.
func (c *crashRun) run(ctx context.Context) error {
	published := make(chan error, 1)
	go func() {
		var err error
		c.committed, err = publishAll(ctx, c.rate, c.events, func(ctx context.Context) (string, time.Time, error) {
			return publishIntents(c.client, c.pool, crashType(rand.IntN(crashTypes)))(ctx) //nolint:gosec // no secret
		})
		published <- err
	}()
	duration := time.Duration(float64(c.events) / c.rate * float64(time.Second))
	began := time.Now()
	for i, share := range killMoments(c.kills) {
		if err := pause(ctx, time.Until(began.Add(time.Duration(share*float64(duration))))); err != nil {
			return err
		}
		if err := c.kill(ctx, i == 0); err != nil {
			return err
		}
	}
	if err := <-published; err != nil {
		return err
	}
	if err := settled(ctx, c.pool); err != nil {
		return err
	}
	var err error
	if c.arrivals, err = c.bench.receiver.arrivals(ctx, crashBook, 0); err != nil {
		return err
	}
	return c.stopEngines()
}
