package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/delivery/internal/drain"
)

// RunDueOpts are the options of RunDue.
type RunDueOpts struct {
	// Ahead lets so much time pass: retries and all else that waits come due in their
	// order, as often as they come due again. Circuits, Retry-After, the age of access
	// checks, windows of failures, the overlap of rotated secrets and tokens of
	// endpoints pass with it; what is recorded, sent and signed has the time of the
	// clock. It is for tests: it passes for all that waits in the schema, but not
	// for what a job of another engine is busy with. Default: 0.
	Ahead time.Duration
}

// RunDue does everything that is due, and what comes of it, and returns when nothing is
// due any more: how many jobs it ran, and their errors. It is for tests and for programs
// that run now and then; the engine need not be started, and has a heartbeat meanwhile as
// if it were. Requests are real, and so is all that is recorded. RunDue takes whatever is
// due in the schema, whoever has enqueued it: tests that run at the same time need a
// database, or a Schema, each.
func (e *Engine) RunDue(ctx context.Context, opts *RunDueOpts) (int, error) {
	ahead := time.Duration(0)
	if opts != nil {
		ahead = opts.Ahead
	}
	if ahead < 0 {
		return 0, errors.New("delivery: run due: Ahead must not be negative")
	}
	end, err := e.beatWhileDue(ctx)
	if err != nil {
		return 0, err
	}
	drainer := &drain.Drainer{
		Clock: &e.clock,
		Dispatch: func(ctx context.Context, job *rivertype.JobRow) error {
			defer e.hooks.Wait(ctx)
			return e.dispatch(ctx, job)
		},
		Maintain: func(ctx context.Context) error {
			defer e.hooks.Wait(ctx)
			return e.maintainer.Round(ctx, 0)
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
	ran, err := drainer.Run(ctx, ahead)
	return ran, errors.Join(err, end())
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
