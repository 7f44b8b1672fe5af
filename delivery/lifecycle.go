package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/migration"
)

// writeTimeout bounds what is written about something that has happened, when its job or its
// caller may be cancelled already.
const writeTimeout = 30 * time.Second

// stopGrace is how long Stop goes on after its context has ended, to record what has
// happened. docs/operations.md names it.
const stopGrace = 2 * time.Second

var (
	// errLate is why Stop goes on no longer.
	errLate = errors.New("not all of it could be recorded in time")

	// errStopped is why a Start ends early.
	errStopped = fmt.Errorf("%w: it was stopped meanwhile", ErrNotStarted)
)

// Start sets the engine to work and returns at once. It fails with
// outbox.ErrNotMigrated if the database is not migrated, or is from a version that this
// one does not know. When ctx ends the engine
// stops as by Stop. An engine can be started once.
func (e *Engine) Start(ctx context.Context) error {
	starting, started, err := e.beginStart(ctx)
	if err != nil {
		return err
	}
	defer started()
	if err := e.start(starting); err != nil {
		if errors.Is(context.Cause(starting), errStopped) {
			err = errStopped
		}
		return fmt.Errorf("delivery: start: %w", err)
	}
	if ctx.Done() != nil {
		go func() {
			select {
			case <-ctx.Done():
				if err := e.Stop(context.WithoutCancel(ctx)); err != nil {
					e.log.WarnContext(ctx, "riverhook: stopped", "error", err)
				}
			case <-e.life.Done():
			}
		}()
	}
	return nil
}

// beginStart lets nobody else start the engine before done is called. Stop ends the context
// that it returns.
func (e *Engine) beginStart(ctx context.Context) (starting context.Context, done func(), err error) {
	leave, err := e.takeTurn(ctx)
	if err != nil {
		return nil, nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		leave()
		return nil, nil, fmt.Errorf("%w: it was started before", ErrNotStarted)
	}
	starting, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	e.endStart = func(by context.Context) error {
		cancel(errStopped)
		select {
		case <-over:
			return nil
		case <-by.Done():
			return context.Cause(by)
		}
	}
	return starting, func() {
		e.mu.Lock()
		e.endStart = nil
		e.mu.Unlock()
		close(over)
		cancel(nil)
		leave()
	}, nil
}

// takeTurn waits until nobody else changes whether the engine has a heartbeat.
func (e *Engine) takeTurn(ctx context.Context) (leave func(), err error) {
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("delivery: wait for another start: %w", context.Cause(ctx))
	}
}

// start does what waits for the database, up to the end of ctx.
func (e *Engine) start(ctx context.Context) error {
	if err := migration.Check(ctx, e.pool, e.cfg.Schema); err != nil {
		return err
	}
	client, closePool, err := e.newRiver(ctx)
	if err != nil {
		return err
	}
	if err := e.heart.Start(ctx); err != nil {
		closePool()
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	inTime := context.AfterFunc(ctx, end)
	if err := client.Start(life); err != nil {
		end()
		closePool()
		return fmt.Errorf("river: %w", err)
	}
	inTime()
	e.run(life, end, client, closePool)
	return nil
}

// run lets the engine work until end is called.
func (e *Engine) run(life context.Context, end context.CancelFunc, client *river.Client[pgx.Tx], closePool func()) {
	e.loops.Go(func() { e.heart.Run(life) })
	e.taker.Start(life)
	loop := maintain.Loop{Log: e.log, Outage: e.heart.Outage}
	lease := &maintain.Lease{Process: e.heart.Process(), Store: e.frequent}
	maintainer := newMaintainer(e, maintain.LostAfter, maintain.Rounds)
	maintainer.Lease = lease
	e.loops.Go(func() { loop.Every(life, e.cfg.Maintenance.Interval, maintainer.Round) })
	e.loops.Go(func() {
		loop.Every(life, e.cfg.Maintenance.Interval, func(ctx context.Context) error {
			_, err := e.verifier.VerifyDue(ctx, e.loops.Go)
			return err
		})
	})
	e.loops.Go(func() { e.causes.Refill(life, func(err error) { loop.Report(life, err) }) })
	e.loops.Go(func() { loop.Every(life, maintain.PruneInterval, newPruner(e.pool, e.cfg, lease).Round) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeRiverPool = closePool
	e.life = life
	e.river = client
	e.started = true
	e.stop = end
}

// Stop ends the engine: it takes no new jobs, lets the requests and hooks under way
// come to their end until ctx or Config.Timeouts.Stop ends, then interrupts them, and
// returns when all that happened is recorded, at the latest 2 s after ctx has ended, also
// while the database cannot be reached. What was not finished or not recorded goes on in
// another engine, or in this one's successor. The error says that requests were
// interrupted, that something could not be recorded, or that a hook does not heed its
// context and runs on. After Stop no hook is called and nothing is sent:
// Ask, Ping, VerifyEndpoint and ConfirmSecret return ErrNotStarted. A second Stop waits for
// the first one, until its own ctx ends, and returns what it did. A Start that is under way
// fails. Stop of an engine that was not started does nothing.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	endStart := e.endStart
	e.mu.Unlock()
	if endStart != nil {
		if err := endStart(ctx); err != nil {
			return fmt.Errorf("delivery: stop: a start is under way: %w", err)
		}
	}
	e.mu.Lock()
	if !e.started {
		e.mu.Unlock()
		return nil
	}
	if done := e.stopped; done != nil {
		e.mu.Unlock()
		within(ctx, func() { <-done })
		select {
		case <-done:
			return e.stopErr
		default:
			return fmt.Errorf("delivery: stop: another is under way: %w", context.Cause(ctx))
		}
	}
	e.stopped = make(chan struct{})
	e.mu.Unlock()
	e.stopErr = e.stopOnce(ctx)
	close(e.stopped)
	return e.stopErr
}

func (e *Engine) stopOnce(ctx context.Context) error {
	softCtx, cancel := context.WithTimeout(ctx, e.cfg.Timeouts.Stop)
	defer cancel()
	last, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	late := func() { giveUp(errLate) }
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, late) })()
	defer context.AfterFunc(softCtx, e.hooks.Interrupt)()

	var blameless sync.WaitGroup
	blameless.Go(func() {
		if err := e.calls.Stop(last); err != nil {
			e.log.WarnContext(ctx, "riverhook: stop", "error", err)
		}
	})
	err := e.stopJobs(softCtx)
	defer time.AfterFunc(writeTimeout, late).Stop()
	if err != nil {
		e.taker.Interrupt()
		err = errors.Join(fmt.Errorf("delivery: stop: requests were interrupted: %w", err), e.river.StopAndCancel(last), e.taker.Stop(last))
	}
	e.stop()
	within(last, func() {
		blameless.Wait()
		e.closeRiverPool() // after River has stopped
		e.loops.Wait()
	})
	within(last, func() { e.hooks.Wait(softCtx) })
	e.ended.Store(true)
	within(last, func() {
		for _, group := range e.batches {
			group.Close()
		}
	})
	e.clients.Close()
	if hookErr := e.hooks.Close(); hookErr != nil {
		err = errors.Join(err, fmt.Errorf("delivery: stop: %w", hookErr))
	}
	if removeErr := e.heart.Stop(last); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("delivery: stop: %w", cmp.Or(context.Cause(last), removeErr)))
	}
	return err
}

// stopJobs takes no more jobs, and waits for those under way.
func (e *Engine) stopJobs(ctx context.Context) error {
	taken := make(chan error, 1)
	go func() { taken <- e.taker.Stop(ctx) }()
	return errors.Join(e.river.Stop(ctx), <-taken)
}

// learnClock reads the clock of the database in a time, for an engine that has no heartbeat:
// what receivers see of the time is by that clock.
func (e *Engine) learnClock(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return e.heart.Learn(ctx)
}

// within returns when f does, or when ctx ends; f then goes on by itself.
func within(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Ready is nil while the engine runs and reaches its database, for a readiness
// probe. It asks nobody: it knows the age of the last heartbeat. An engine that is still
// being started does not run.
func (e *Engine) Ready() error {
	e.mu.Lock()
	running := e.started && e.stopped == nil
	e.mu.Unlock()
	if !running {
		return ErrNotStarted
	}
	if age := e.heart.Age(); age > heartbeat.DeadAfter {
		return fmt.Errorf("delivery: no heartbeat could be written for %s", age.Round(time.Second))
	}
	return nil
}
