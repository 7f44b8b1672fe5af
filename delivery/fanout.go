package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/slots"
)

// jobBudget is how long a River job starts new requests; what is left then
// is handed over to jobs of its own.
const jobBudget = time.Minute

// fanOut is the attempts of one River job.
type fanOut struct {
	engine  *Engine
	by      callbacks.JobRef
	slots   slots.Job
	started time.Time
	under   sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// attemptAll makes an attempt of each target, and of what earlier runs of the job
// have left, and waits until all of them are recorded or handed over. What is left
// is loaded as its turn comes: what waits costs an id.
func (e *Engine) attemptAll(ctx context.Context, by callbacks.JobRef, fresh []*target, left []uuid.UUID) error {
	f := e.newFanOut(by)
	if len(fresh) == 1 && len(left) == 0 {
		return e.attemptOne(ctx, callbacks.JobRef{JobID: by.JobID}, fresh[0], f.started)
	}
	f.begin(ctx, fresh, left)
	return f.wait(nil)
}

func (e *Engine) newFanOut(by callbacks.JobRef) *fanOut {
	return &fanOut{
		engine:  e,
		by:      by,
		slots:   e.fanOuts.Job(),
		started: time.Now(),
	}
}

// begin queues attempts up.
func (f *fanOut) begin(ctx context.Context, fresh []*target, left []uuid.UUID) {
	for _, t := range fresh {
		f.attempt(ctx, t)
	}
	for _, id := range left {
		done := f.admit(ctx)
		go func() { done(f.engine.attemptLater(ctx, f.by, id, f.started)) }()
	}
}

// wait waits until all attempts are recorded or handed over. err is what else has gone
// wrong in the job.
func (f *fanOut) wait(err error) error {
	f.under.Wait()
	if err != nil {
		f.errs = append(f.errs, err)
	}
	return joined(f.errs)
}

// attempt makes the first attempt of a delivery that the job has just made.
func (f *fanOut) attempt(ctx context.Context, t *target) {
	e, done := f.engine, f.admit(ctx)
	if e.isOld(t) {
		go func() { done(e.attemptAged(ctx, callbacks.JobRef{JobID: f.by.JobID}, t, f.started)) }()
		return
	}
	t.By = e.calls.First()
	if e.accessIsOld(t) || !e.secretsAtHand(t) || time.Since(f.started) > jobBudget {
		go func() { done(e.attemptOne(ctx, callbacks.JobRef{JobID: f.by.JobID}, t, f.started)) }()
		return
	}
	// What remains of the gates asks nobody, and who waits for a slot needs
	// no goroutine.
	if tr := e.gate(ctx, t); tr != nil {
		go func() { done(e.record(ctx, tr)) }()
		return
	}
	e.limiter.Enter(ctx, t.EndpointKey(), t.Sub.MaxInFlight, func(ok bool) {
		go func() { done(e.takeTurn(ctx, t, ok)) }()
	})
}

// admit waits until one more attempt may queue up, and returns what is to be called
// at its end.
func (f *fanOut) admit(ctx context.Context) (done func(err error)) {
	f.engine.heart.Await(ctx)
	lane := f.slots.Enter()
	f.under.Add(1)
	return func(err error) {
		if err != nil {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
		}
		f.slots.Leave(lane)
		f.under.Done()
	}
}

// joined is the error of a job. Trouble before anything was done lets a job begin
// anew as if it had not run, so it is the error only where there was no other.
func joined(errs []error) error {
	var stalls, others []error
	for _, err := range errs {
		if stall := (*callbacks.StallError)(nil); errors.As(err, &stall) {
			stalls = append(stalls, err)
		} else {
			others = append(others, err)
		}
	}
	if len(others) > 0 {
		return errors.Join(others...)
	}
	return errors.Join(stalls...)
}
