package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/store"
)

// maxDueJobs ends a RunDue that would go on for ever.
const maxDueJobs = 10_000

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

// RunDue does everything that is due, and what comes of it, and returns when
// nothing is due any more: how many jobs it ran, and their errors. It is for
// tests and for programs that run now and then; the engine need not be started, and
// has a heartbeat meanwhile as if it were.
// Requests are real, and so is all that is recorded. It takes whatever is due in the
// schema, whoever has enqueued it: tests that run at the same time need a database, or
// a Schema, each.
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
	ran, err := e.runAhead(ctx, ahead)
	return ran, errors.Join(err, end())
}

// runAhead runs what is due, and lets time pass up to the next thing that will be,
// until so much time has passed.
func (e *Engine) runAhead(ctx context.Context, left time.Duration) (ran int, err error) {
	e.ahead.begin(left)
	defer e.ahead.begin(0)
	for {
		var since time.Time
		if ran, since, err = e.runDue(ctx, ran); err != nil || left == 0 {
			return ran, err
		}
		passed, err := e.passTime(ctx, since, left)
		if err != nil {
			return ran, fmt.Errorf("delivery: let time pass: %w", err)
		}
		left -= passed
	}
}

// passTime lets time pass until something is due that was not at since, or all of it.
func (e *Engine) passTime(ctx context.Context, since time.Time, left time.Duration) (passed time.Duration, err error) {
	rules := &e.cfg.Verification
	next, err := e.store.NextDue(ctx, &store.NextDueParams{
		HostMs:     rules.hostInterval().Milliseconds(),
		IntervalMs: rules.Interval.Milliseconds(),
		MaxHoldMs:  e.cfg.MaxHold.Milliseconds(),
		Queues:     queues(),
		Since:      since,
	})
	if err != nil || next == 0 {
		return 0, err
	}
	passed = left
	if next > 0 {
		passed = min(time.Duration(next)*time.Millisecond, left)
	}
	if err := e.store.PassTime(ctx, &store.PassTimeParams{PassedMs: passed.Milliseconds(), Queues: queues()}); err != nil {
		return 0, err
	}
	e.ahead.pass(passed)
	return passed, nil
}

// runDue runs what is due now, and returns how many jobs that makes in all, and a time,
// by the database's clock, up to which nothing is left.
func (e *Engine) runDue(ctx context.Context, before int) (ran int, since time.Time, err error) {
	ran = before
	for {
		if since, err = e.store.ReadClock(ctx); err != nil {
			return ran, since, fmt.Errorf("delivery: read the clock: %w", err)
		}
		if err := e.maintain(ctx, 0); err != nil {
			return ran, since, err
		}
		if err := e.challengeAll(ctx); err != nil {
			return ran, since, err
		}
		jobs, err := e.store.ClaimDueJobs(ctx, &store.ClaimDueJobsParams{Process: e.heart.Process(), Queues: queues()})
		if err != nil {
			return ran, since, fmt.Errorf("delivery: claim jobs: %w", err)
		}
		if len(jobs) == 0 {
			return ran, since, nil
		}
		if ran += len(jobs); ran > maxDueJobs {
			return ran, since, fmt.Errorf("delivery: run due: stopped after %d jobs, more are due", maxDueJobs)
		}
		if err := e.runClaimed(ctx, jobs); err != nil {
			return ran, since, err
		}
	}
}

func (e *Engine) runClaimed(ctx context.Context, jobs []store.ClaimDueJobsRow) error {
	var wg sync.WaitGroup
	errs := make([]error, len(jobs))
	for i, row := range jobs {
		wg.Go(func() {
			job := &rivertype.JobRow{
				ID:          row.ID,
				Kind:        row.Kind,
				EncodedArgs: row.Args,
				Attempt:     int(row.Attempt),
				Errors:      make([]rivertype.AttemptError, row.Failures),
			}
			err := e.dispatch(ctx, job)
			finish := store.FinishJobParams{ID: row.ID, Done: err == nil}
			errs[i] = errors.Join(err, e.store.FinishJob(context.WithoutCancel(ctx), &finish))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
