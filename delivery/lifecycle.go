package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/migration"
)

// writeTimeout bounds what is written about something that has happened, when its job or its
// caller may be cancelled already.
const writeTimeout = 30 * time.Second

// Start sets the engine to work and returns at once. It fails with
// ErrNotMigrated where the database is not migrated. When ctx ends the engine
// stops as by Stop. An engine can be started once.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return fmt.Errorf("%w: it was started before", ErrNotStarted)
	}
	if err := migration.Check(ctx, e.pool, e.cfg.Schema); err != nil {
		return fmt.Errorf("delivery: start: %w", err)
	}
	client, closePool, err := e.newRiver(ctx)
	if err != nil {
		return err
	}
	if err := e.heart.Start(ctx); err != nil {
		closePool()
		return fmt.Errorf("delivery: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		closePool()
		return fmt.Errorf("delivery: start river: %w", err)
	}
	e.closeRiverPool = closePool
	loopCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.river = client
	e.started = true
	e.stop = stop
	e.loops.Go(func() { e.heart.Run(loopCtx) })
	loop := maintain.Loop{Log: e.log, Outage: e.heart.Outage}
	e.loops.Go(func() {
		loop.Every(loopCtx, e.cfg.Maintenance.Interval, func(ctx context.Context) error {
			return e.maintainer.Round(ctx, maintain.LostAfter)
		})
	})
	e.loops.Go(func() {
		loop.Every(loopCtx, e.cfg.Maintenance.Interval, func(ctx context.Context) error {
			_, err := e.verifier.VerifyDue(ctx, e.loops.Go)
			return err
		})
	})
	e.loops.Go(func() { loop.Every(loopCtx, maintain.PruneInterval, newPruner(e.pool, e.cfg, e.heart.Process()).Round) })
	if ctx.Done() != nil {
		go func() {
			select {
			case <-ctx.Done():
				if err := e.Stop(context.WithoutCancel(ctx)); err != nil {
					e.log.WarnContext(ctx, "riverhook: stopped", "error", err)
				}
			case <-loopCtx.Done():
			}
		}()
	}
	return nil
}

// Stop ends the engine: it takes no new jobs, lets the requests and hooks under way
// come to their end until ctx or Config.Timeouts.Stop ends, then interrupts them, and
// returns when all that happened is recorded. What was not finished goes on in
// another engine, or in this one's successor. The error tells that requests were
// interrupted, or that a hook does not heed its context and runs on. After Stop no hook is called and nothing is sent:
// Ask, Ping, VerifyEndpoint and ConfirmSecret return ErrNotStarted. A second Stop waits for the first one and returns what it did;
// Stop of an engine that was not started does nothing.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	if !e.started {
		e.mu.Unlock()
		return nil
	}
	if done := e.stopped; done != nil {
		e.mu.Unlock()
		<-done
		return e.stopErr
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
	defer context.AfterFunc(softCtx, e.hooks.Interrupt)()
	if err := e.calls.Stop(ctx); err != nil {
		e.log.WarnContext(ctx, "riverhook: stop", "error", err)
	}
	err := e.river.Stop(softCtx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err != nil {
		err = errors.Join(fmt.Errorf("delivery: stop: requests were interrupted: %w", err), e.river.StopAndCancel(last))
	}
	e.closeRiverPool()
	e.stop()
	e.loops.Wait()
	e.ended.Store(true)
	for _, group := range e.batches {
		group.Close()
	}
	e.clients.Close()
	if hookErr := e.hooks.Close(); hookErr != nil {
		err = errors.Join(err, fmt.Errorf("delivery: stop: %w", hookErr))
	}
	if removeErr := e.heart.Stop(last); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("delivery: stop: %w", removeErr))
	}
	return err
}

// Ready is nil while the engine runs and reaches its database, for a readiness
// probe.
func (e *Engine) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started || e.stopped != nil {
		return ErrNotStarted
	}
	if age := e.heart.Age(); age > heartbeat.DeadAfter {
		return fmt.Errorf("delivery: no heartbeat could be written for %s", age.Round(time.Second))
	}
	return nil
}
