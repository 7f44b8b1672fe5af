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

// maxDueJobs ends a RunDue that would go on for ever, such as one that looks
// ahead past the wait for a checker that is not there.
const maxDueJobs = 10_000

// RunDueOpts are the options of RunDue.
type RunDueOpts struct {
	// Ahead also runs what is due only within this time, such as retries, at
	// once and as often as it comes due again. It does not shorten what an endpoint
	// has asked for: after an answer with Retry-After, or of 429 or 503, its
	// deliveries are held until that time has passed. Default: 0.
	Ahead time.Duration
}

// RunDue does everything that is due, and what comes of it, and returns when
// nothing is due any more: how many jobs it ran, and their errors. It is for
// tests and for programs that run now and then; the engine need not be started, and
// has a heartbeat meanwhile as if it were.
// Requests are real, and so is all that is recorded.
func (e *Engine) RunDue(ctx context.Context, opts *RunDueOpts) (int, error) {
	ahead := time.Duration(0)
	if opts != nil {
		ahead = opts.Ahead
	}
	end, err := e.beatWhileDue(ctx)
	if err != nil {
		return 0, err
	}
	ran, err := e.runDue(ctx, ahead)
	return ran, errors.Join(err, end())
}

func (e *Engine) runDue(ctx context.Context, ahead time.Duration) (int, error) {
	ran := 0
	for {
		if err := e.maintain(ctx, -ahead); err != nil {
			return ran, err
		}
		if err := e.challengeAll(ctx, ahead); err != nil {
			return ran, err
		}
		jobs, err := e.store.ClaimDueJobs(ctx, &store.ClaimDueJobsParams{
			Process: e.heart.Process(), Queues: queues(), AheadMs: ahead.Milliseconds(),
		})
		if err != nil {
			return ran, fmt.Errorf("delivery: claim jobs: %w", err)
		}
		if len(jobs) == 0 {
			return ran, nil
		}
		if ran += len(jobs); ran > maxDueJobs {
			return ran, fmt.Errorf("delivery: run due: stopped after %d jobs, more are due", maxDueJobs)
		}
		if err := e.runClaimed(ctx, jobs); err != nil {
			return ran, err
		}
	}
}

func (e *Engine) runClaimed(ctx context.Context, jobs []store.ClaimDueJobsRow) error {
	var wg sync.WaitGroup
	errs := make([]error, len(jobs))
	for i, row := range jobs {
		wg.Go(func() {
			job := &rivertype.JobRow{
				ID: row.ID, Kind: row.Kind, EncodedArgs: row.Args, Attempt: int(row.Attempt),
				Errors: make([]rivertype.AttemptError, row.Failures),
			}
			err := e.dispatch(ctx, job)
			finish := store.FinishJobParams{ID: row.ID, Done: err == nil}
			errs[i] = errors.Join(err, e.store.FinishJob(context.WithoutCancel(ctx), &finish))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
