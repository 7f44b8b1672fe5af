// Package drain runs all that is due in the process of its caller, and lets time pass for
// tests: [Drainer] by [Clock].
package drain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/store"
)

// maxJobs ends a run that would continue for ever.
const maxJobs = 10_000

const (
	claimRows  = 100         // how many jobs run at the same time
	retryAfter = time.Second // what a job waits that failed
)

// Drainer runs everything that is due, and what comes of it. It is safe for concurrent use.
type Drainer struct {
	Clock    *Clock
	Dispatch func(ctx context.Context, job *rivertype.JobRow) error // runs a job
	Maintain func(ctx context.Context) error                        // does what no job does
	Process  string                                                 // the name of the engine among the heartbeats
	Queues   []string
	Store    *store.Queries
	Verify   func(ctx context.Context) error // challenges the endpoints that are due
	Waits    Waits
}

// Waits are those waits that are not in the database.
type Waits struct {
	Hold         time.Duration // until a held delivery expires
	Host         time.Duration // between two challenges of one host
	Verification time.Duration // between two challenges of one endpoint
}

// Run returns when nothing is due any more: how many jobs it ran, and their errors. Then it
// lets time pass up to the next thing that will be due and continues, until so much time has
// passed; 0 lets none pass.
func (d *Drainer) Run(ctx context.Context, ahead time.Duration) (ran int, err error) {
	d.Clock.begin(ahead)
	defer d.Clock.begin(0)
	for {
		var since time.Time
		if ran, since, err = d.runDue(ctx, ran); err != nil || ahead == 0 {
			return ran, err
		}
		passed, err := d.passTime(ctx, since, ahead)
		if err != nil {
			return ran, fmt.Errorf("delivery: let time pass: %w", err)
		}
		ahead -= passed
	}
}

// passTime lets time pass until something is due that was not at since, or all of it.
func (d *Drainer) passTime(ctx context.Context, since time.Time, left time.Duration) (passed time.Duration, err error) {
	next, err := d.Store.NextDue(ctx, &store.NextDueParams{
		HostMs:     d.Waits.Host.Milliseconds(),
		IntervalMs: d.Waits.Verification.Milliseconds(),
		MaxHoldMs:  d.Waits.Hold.Milliseconds(),
		Queues:     d.Queues,
		Since:      since,
	})
	if err != nil || next == 0 {
		return 0, err
	}
	passed = left
	if next > 0 {
		passed = min(time.Duration(next)*time.Millisecond, left)
	}
	if err := d.Store.PassTime(ctx, &store.PassTimeParams{PassedMs: passed.Milliseconds(), Queues: d.Queues}); err != nil {
		return 0, err
	}
	d.Clock.pass(passed)
	return passed, nil
}

// runDue runs what is due now, and returns how many jobs that makes in all, and a time,
// by the clock of the database, up to which nothing is left.
func (d *Drainer) runDue(ctx context.Context, before int) (ran int, since time.Time, err error) {
	ran = before
	for {
		if since, err = d.Store.ReadClock(ctx); err != nil {
			return ran, since, fmt.Errorf("delivery: read the clock: %w", err)
		}
		if err := d.Maintain(ctx); err != nil {
			return ran, since, err
		}
		if err := d.Verify(ctx); err != nil {
			return ran, since, err
		}
		jobs, err := d.Store.ClaimDueJobs(ctx, &store.ClaimDueJobsParams{
			Process: d.Process,
			Queues:  d.Queues,
			MaxRows: claimRows,
		})
		if err != nil {
			return ran, since, fmt.Errorf("delivery: claim jobs: %w", err)
		}
		if len(jobs) == 0 {
			return ran, since, nil
		}
		if ran += len(jobs); ran > maxJobs {
			return ran, since, fmt.Errorf("delivery: run due: stopped after %d jobs, more are due", maxJobs)
		}
		if err := d.runClaimed(ctx, jobs); err != nil {
			return ran, since, err
		}
	}
}

// runClaimed runs jobs at the same time.
func (d *Drainer) runClaimed(ctx context.Context, jobs []store.ClaimDueJobsRow) error {
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
				Tags:        []string{row.Tag},
			}
			err := d.Dispatch(ctx, job)
			finish := store.FinishJobParams{
				ID:      row.ID,
				Done:    err == nil,
				RetryMs: retryAfter.Milliseconds(),
			}
			errs[i] = errors.Join(err, d.Store.FinishJob(context.WithoutCancel(ctx), &finish))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
