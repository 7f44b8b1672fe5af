package callbacks

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// Calls are the calls of host code by the jobs of one engine. It is safe for
// concurrent use.
type Calls struct {
	exclusion exclusion
	first     *Caller

	writing chan struct{} // the turn of what records a step; guards marked
	marked  *suspect      // in a step that is recorded

	mu       sync.Mutex             // guards what follows; held for moments only
	returned map[run]map[string]int // what is true of runs that returned and could not record that, by step
	stopped  bool                   // no step is blamed for the end of the process from now on
}

// New returns calls of which none is under way.
func New() *Calls {
	c := &Calls{writing: make(chan struct{}, 1)}
	c.first = &Caller{calls: c}
	return c
}

// First is how all first runs call host code.
func (c *Calls) First() *Caller { return c.first }

// Caller is how a run of a job calls host code for one thing: an intent, the
// decisions that wait with the one of a subscription, or a delivery. ended is what is
// recorded of its runs that did not come to their end.
func (c *Calls) Caller(by JobRef, of uuid.UUID, ended EndedRuns, mark Mark) *Caller {
	if !by.Died && ended.Empty() {
		return c.first
	}
	r := run{JobID: by.JobID, Of: of}
	ended.Runs = c.endedOf(r, ended.Runs)
	return &Caller{calls: c, suspect: &suspect{
		calls: c,
		run:   r,
		ended: ended,
		write: mark,
	}}
}

// Stop takes back what is recorded of the step that is under way: the end of an
// engine that was told to stop is not the fault of that step.
func (c *Calls) Stop(ctx context.Context) error {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return Stall("record a step", context.Cause(ctx))
	}
	if c.marked == nil {
		return nil
	}
	s := c.marked
	c.marked = nil
	return s.mark(ctx, s.ended)
}

func (c *Calls) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// Unrecorded is the number of runs that returned from host code and could not record
// it.
func (c *Calls) Unrecorded() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.returned)
}

// endedOf is what is true of a run, although the database may say that it did not
// return from the step that it began last.
func (c *Calls) endedOf(r run, stored map[string]int) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if runs, ok := c.returned[r]; ok {
		return runs
	}
	return stored
}
