package turns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/store"
)

// finish is how the run of a job ends, as River's executor would have it.
type finish struct {
	job       *rivertype.JobRow
	state     rivertype.JobState
	failure   string // as River stores it; "" if there was none
	snoozed   bool
	uncounted bool
	wait      time.Duration
}

// newFinish is the end of a run that began at a time and returned an error, which a panic at a
// place can be. ctx is that of the run.
func newFinish(
	ctx context.Context, job *rivertype.JobRow, started time.Time, err error, trace string, retryWait func(failures int) time.Duration,
) *finish {
	f := &finish{job: job}
	var snooze *rivertype.JobSnoozeError
	cancelled := err != nil && errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely)
	if cancelled {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		f.state = rivertype.JobStateCompleted
		return f
	case cancelled:
	case errors.As(err, &snooze):
		f.snoozed = true
		f.uncounted = true
		f.wait = snooze.Duration
		f.state = waiting(f.wait, rivertype.JobStateScheduled)
		return f
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		f.uncounted, f.state = true, rivertype.JobStateAvailable
		return f
	}
	failure, encodeErr := json.Marshal(rivertype.AttemptError{
		At:      started.UTC(),
		Attempt: job.Attempt,
		Error:   strings.ReplaceAll(err.Error(), "\x00", "\uFFFD"),
		Trace:   trace,
	})
	if encodeErr != nil { // a time beyond the year 9999
		failure = []byte("{}")
	}
	f.failure = string(failure)
	if cancelled {
		f.state = rivertype.JobStateCancelled
		return f
	}
	if job.Attempt >= job.MaxAttempts {
		f.state = rivertype.JobStateDiscarded
		return f
	}
	f.wait = retryWait(len(job.Errors))
	f.state = waiting(f.wait, rivertype.JobStateRetryable)
	return f
}

// waiting is the state of a job that runs again after a time: what is due soon does not wait for
// River's scheduler.
func waiting(d time.Duration, later rivertype.JobState) rivertype.JobState {
	if d <= jobs.Soon {
		return rivertype.JobStateAvailable
	}
	return later
}

// finish writes how a run has ended, and tries again while the database cannot be written. A job
// for which that fails otherwise is handed on by the next heartbeat.
func (t *Taker) finish(f *finish) {
	for {
		_, err := t.finishes.Do(context.WithoutCancel(t.jobs), f)
		if err == nil {
			return
		}
		if !t.cfg.Heart.Passing(err) || !t.cfg.Heart.AwaitAfter(t.jobs) {
			t.cfg.Log.ErrorContext(t.jobs, "riverhook: turns: complete a job", "kind", f.job.Kind, "job", f.job.ID, "error", err)
			return
		}
	}
}

// finishAll is the flush of the batch of ends.
func (t *Taker) finishAll(ctx context.Context, all []*finish) ([]struct{}, error) {
	p := &store.FinishTurnsParams{Process: t.cfg.Process}
	for _, f := range all {
		p.Ids = append(p.Ids, f.job.ID)
		p.Attempts = append(p.Attempts, f.job.Attempt)
		p.States = append(p.States, string(f.state))
		p.Uncounted = append(p.Uncounted, f.uncounted)
		p.Snoozed = append(p.Snoozed, f.snoozed)
		p.Errors = append(p.Errors, f.failure)
		p.WaitMs = append(p.WaitMs, f.wait.Milliseconds())
	}
	if err := t.cfg.Store.FinishTurns(ctx, p); err != nil {
		return nil, fmt.Errorf("delivery: complete jobs: %w", err)
	}
	return make([]struct{}, len(all)), nil
}
