package send

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/slots"
)

// FanOut is the attempts of one run of a River job. Begin must not be called after Wait.
type FanOut struct {
	sender  *Sender
	by      callbacks.JobRef
	held    *payloads.Held
	slots   slots.Job
	started time.Time
	under   sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// All makes an attempt of each input, and of the deliveries that earlier runs of the job
// have left, and waits until all of them are recorded or handed over. What is left is
// loaded when its turn comes: while it waits it costs an id. The job holds the payloads.
func (s *Sender) All(
	ctx context.Context, by callbacks.JobRef, held *payloads.Held, fresh []*Input, left []uuid.UUID,
) error {
	f := s.FanOut(by, held)
	if len(fresh) == 1 && len(left) == 0 {
		return s.attempt(ctx, callbacks.JobRef{JobID: by.JobID}, fresh[0], f.started)
	}
	f.Begin(ctx, fresh, left)
	return f.Wait(nil)
}

// FanOut begins the attempts of a run of a job, which holds the payloads of its intent.
func (s *Sender) FanOut(by callbacks.JobRef, held *payloads.Held) *FanOut {
	return &FanOut{
		sender:  s,
		by:      by,
		held:    held,
		slots:   s.Slots.FanOuts.Job(slots.Share{Name: by.Share}),
		started: time.Now(),
	}
}

// Begin queues attempts up: of inputs that this run has made, and of deliveries that
// earlier runs have left.
func (f *FanOut) Begin(ctx context.Context, fresh []*Input, left []uuid.UUID) {
	for _, in := range fresh {
		f.attempt(ctx, in)
	}
	for _, id := range left {
		done := f.admit(ctx)
		go func() { done(f.sender.left(ctx, f.by, f.held, id, f.started)) }()
	}
}

// Wait waits until all attempts are recorded or handed over. err is what else has gone
// wrong in the job.
func (f *FanOut) Wait(err error) error {
	f.under.Wait()
	if err != nil {
		f.errs = append(f.errs, err)
	}
	return joined(f.errs)
}

// Late is true when the run has had its time: what is left is handed over.
func (f *FanOut) Late() bool { return time.Since(f.started) > jobBudget }

// attempt makes the first attempt of a delivery that the job has just made.
func (f *FanOut) attempt(ctx context.Context, in *Input) {
	s, done := f.sender, f.admit(ctx)
	first := callbacks.JobRef{JobID: f.by.JobID}
	if s.Requester.Rereader.IsOld(in) {
		go func() { done(s.refreshAndAttempt(ctx, first, in, f.started)) }()
		return
	}
	in.By = s.Loader.cfg.Calls.First()
	if s.Requester.Rereader.AccessIsOld(in) || !s.Preflight.secretsAtHand(in) || f.Late() {
		go func() { done(s.attempt(ctx, first, in, f.started)) }()
		return
	}
	// What remains of the checks asks nobody, and an attempt that waits for a slot needs
	// no goroutine.
	if tr := s.Preflight.check(ctx, in); tr != nil {
		go func() { done(s.record(ctx, tr)) }()
		return
	}
	s.Slots.shareOut(in)
	s.Slots.Limiter.Enter(ctx, &in.Target, func(ok bool) {
		go func() { done(s.takeTurn(ctx, in, ok)) }()
	})
}

// admit waits until one more attempt may queue up. The caller calls done with the error of
// the attempt when it ends.
func (f *FanOut) admit(ctx context.Context) (done func(err error)) {
	f.sender.Heart.Await(ctx)
	lane := f.slots.Enter() //nolint:contextcheck // an attempt that was begun is ended
	f.under.Add(1)
	return func(err error) {
		if err != nil {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
		}
		lane.Leave()
		f.under.Done()
	}
}

// joined is the error of a job. Trouble before anything was done lets a job begin
// anew as if it had not run, so it is the error only if there was no other.
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
