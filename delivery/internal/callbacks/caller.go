package callbacks

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// markTimeout bounds a statement that others wait for.
const markTimeout = 5 * time.Second

// JobRef is the River job in which something is done.
type JobRef struct {
	JobID int64
	Rerun bool   // an earlier run of this job did not come to its end
	Died  bool   // and it returned no error either: its process ended
	Share string // of which its turn is
}

// Mark records what is known of a suspect's ended runs, and returns how many rows it
// changed: none if somebody else has moved on what the run works at.
type Mark func(ctx context.Context, text string) (rows int64, err error)

// Caller is how one run of a job calls host code. A first run calls it at the same
// time as others and records nothing: its suspect is nil. A nil Caller is the
// application itself, by Ask or Ping for example: it neither waits nor is waited for.
type Caller struct {
	calls   *Calls
	suspect *suspect
}

// suspect is what an earlier run left unfinished. It may be what ended the process:
// so it runs alone, and its step is recorded. It is used by one goroutine at a time.
type suspect struct {
	calls   *Calls
	run     run
	ended   EndedRuns // as it was loaded
	write   Mark
	stalled error // nothing can be recorded: the run is to end
}

// run names what a River job does with an intent, with decisions or with a delivery.
type run struct {
	JobID int64
	Of    uuid.UUID // the intent, the first subscription or the delivery
}

// Call calls f, which is host code. The error is an EndedError if the step is given
// up, or a StallError: f was not called, or what it did does not count.
func (c *Caller) Call(ctx context.Context, in Step, f func()) error {
	switch {
	case c == nil:
		f()
		return nil
	case c.suspect == nil:
		c.calls.exclusion.shared(f)
		return nil
	default:
		return c.suspect.call(ctx, in, f)
	}
}

// CallLast is Call for the last step before a request goes out.
func (c *Caller) CallLast(ctx context.Context, in Step, f func()) error {
	return c.Call(ctx, in, func() {
		f()
		if c != nil && c.suspect != nil {
			c.suspect.ended.Unsent = false
		}
	})
}

// Stalled is the StallError of an earlier call.
func (c *Caller) Stalled() error {
	if !c.Alone() {
		return nil
	}
	return c.suspect.stalled
}

// Ended is what was recorded of a suspect as it was loaded.
func (c *Caller) Ended() EndedRuns {
	if !c.Alone() {
		return EndedRuns{}
	}
	return c.suspect.ended
}

// Alone reports whether no other job is in host code during a call. Then a call must
// not wait for what another job does.
func (c *Caller) Alone() bool { return c != nil && c.suspect != nil }

func (s *suspect) call(ctx context.Context, in Step, f func()) error {
	name := in.String()
	switch {
	case s.stalled != nil:
		return s.stalled
	case s.ended.Runs[name] >= MaxEndedRuns:
		return &EndedError{in}
	}
	s.calls.exclusion.exclusive(func() {
		if ctx.Err() != nil {
			s.stalled = Stall("begin "+name, context.Cause(ctx))
			return
		}
		if s.stalled = s.begin(ctx, name); s.stalled != nil {
			return
		}
		f()
		s.stalled = s.end(ctx)
	})
	return s.stalled
}

// begin records that this run is in a step.
func (s *suspect) begin(ctx context.Context, name string) error {
	s.calls.writing <- struct{}{}
	defer func() { <-s.calls.writing }()
	if s.calls.isStopped() {
		return nil
	}
	if err := s.mark(ctx, s.ended.begin(name)); err != nil {
		return err
	}
	s.calls.mu.Lock()
	delete(s.calls.returned, s.run)
	s.calls.mu.Unlock()
	s.calls.marked = s
	return nil
}

// end records that this run has returned from the step.
func (s *suspect) end(ctx context.Context) error {
	s.calls.writing <- struct{}{}
	defer func() { <-s.calls.writing }()
	if s.calls.marked == s {
		s.calls.marked = nil
	}
	err := s.mark(ctx, s.ended)
	if err != nil {
		s.calls.mu.Lock()
		defer s.calls.mu.Unlock()
		if s.calls.returned == nil {
			s.calls.returned = map[run]map[string]int{}
		}
		s.calls.returned[s.run] = s.ended.Runs
	}
	return err
}

func (s *suspect) mark(ctx context.Context, r EndedRuns) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	rows, err := s.write(ctx, r.Text())
	if err == nil && rows == 0 {
		err = errors.New("it has moved on, or another transaction has locked its row")
	}
	if err != nil {
		return Stall("record a step", err)
	}
	return nil
}
