package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/delivery/internal/drain"
	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
)

// RunDue does everything that is due, and what comes of it, and returns when nothing is
// due any more: how many jobs it ran, and their errors. It is for programs
// that run now and then; the engine need not be started, and has a heartbeat meanwhile as
// if it were. Requests are real, and so is all that is recorded. RunDue takes whatever is
// due in the schema, whoever has enqueued it. Tests call deliverytest.Drain, which can also
// let time pass.
func (e *Engine) RunDue(ctx context.Context) (int, error) {
	end, err := e.beatWhileDue(ctx)
	if err != nil {
		return 0, err
	}
	maintainer := newMaintainer(e, 0, maintain.Whole)
	drainer := &drain.Drainer{
		Clock: &e.clock,
		Dispatch: func(ctx context.Context, job *rivertype.JobRow) error {
			defer e.hooks.Wait(ctx)
			return e.dispatchPatiently(ctx, job)
		},
		Maintain: func(ctx context.Context) error {
			defer e.hooks.Wait(ctx)
			return maintainer.Round(ctx)
		},
		Process: e.heart.Process(),
		Queues:  queues(),
		Store:   e.store,
		Verify:  e.verifier.VerifyAll,
		Waits: drain.Waits{
			Hold:         e.cfg.Maintenance.MaxHold,
			Host:         e.cfg.Verification.hostInterval(),
			Verification: e.cfg.Verification.Interval,
		},
	}
	ran, err := drainer.Run(ctx, drain.AheadOf(ctx))
	return ran, errors.Join(err, end())
}

// dispatchPatiently does a job, however long that waits for bytes: nobody else needs its
// goroutine.
func (e *Engine) dispatchPatiently(ctx context.Context, job *rivertype.JobRow) error {
	err := e.dispatch(ctx, job)
	for errors.Is(err, payloads.ErrFull) && ctx.Err() == nil {
		err = e.dispatch(ctx, job)
	}
	return err
}

// beatWhileDue writes heartbeats until end is called, unless the engine was started, so that
// others leave it the jobs that it runs. Several calls may be under way, and the end of the
// last one removes the heartbeat.
func (e *Engine) beatWhileDue(ctx context.Context) (end func() error, err error) {
	leave, err := e.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if e.isStarted() {
		return func() error { return nil }, nil
	}
	if err := e.heart.Start(ctx); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	beats, stop := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { e.heart.Run(beats) })
	e.mu.Lock()
	e.dueRuns++
	e.mu.Unlock()
	return func() error {
		stop()
		loop.Wait()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		return e.endDueRun(last)
	}, nil
}

func (e *Engine) isStarted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started
}

// endDueRun removes the heartbeat if nothing else needs it.
func (e *Engine) endDueRun(ctx context.Context) error {
	leave, err := e.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	e.mu.Lock()
	e.dueRuns--
	needed := e.dueRuns > 0 || e.started
	e.mu.Unlock()
	if needed {
		return nil
	}
	if err := e.heart.Stop(ctx); err != nil {
		return fmt.Errorf("delivery: run due: %w", err)
	}
	return nil
}
