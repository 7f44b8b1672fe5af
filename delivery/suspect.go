package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// maxEndedRuns is how many runs may end their process in one step, alone and
	// without progress, before the step is given up.
	maxEndedRuns = 3

	// markTimeout bounds a statement that others have to wait for.
	markTimeout = 5 * time.Second
)

// step is a call of host code that can end the process.
type step struct{ What, Name string }

// The steps of expansions, decisions and attempts.
var (
	stepTree    = step{What: "the tree of sites"}
	stepFilters = step{What: "the filters"}
	stepSealer  = step{What: "the sealer"}
)

func stepChecker(kind string) step         { return step{"the access checker of resources of kind", kind} }
func stepDialect(name string) step         { return step{"the dialect", name} }
func stepExternalizer(dialect string) step { return step{"the externalizer of dialect", dialect} }

// String is how a step is written down and shown.
func (s step) String() string {
	if s.Name == "" {
		return s.What
	}
	return fmt.Sprintf("%s %q", s.What, s.Name)
}

// endedError says that a step is not tried any more.
type endedError struct{ step step }

func (e *endedError) Error() string { return fmt.Sprintf("%s%s", reasonEnded, e.step) }

func isEnded(err error) bool {
	var ended *endedError
	return errors.As(err, &ended)
}

// endedRuns is what is written down of the runs of an expansion, of decisions or of
// an attempt that did not come back from host code.
type endedRuns struct {
	Runs   map[string]int `json:"runs,omitempty"`   // by step: how many began it alone and did not come back
	Unsent bool           `json:"unsent,omitempty"` // no request has gone out since an attempt was recorded as interrupted
}

func parseEndedRuns(text string) (r endedRuns, err error) {
	if text == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("ended runs: %w", err)
	}
	return r, nil
}

func (r endedRuns) empty() bool { return len(r.Runs) == 0 && !r.Unsent }

// text is what is written down; "" where there is nothing to be said.
func (r endedRuns) text() string {
	if r.empty() {
		return ""
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // never: it is made of texts and numbers
	}
	return string(text)
}

// begin is r while a run is in a step.
func (r endedRuns) begin(name string) endedRuns {
	runs := maps.Clone(r.Runs)
	if runs == nil {
		runs = map[string]int{}
	}
	runs[name]++
	return endedRuns{Runs: runs, Unsent: r.Unsent}
}

// givenUp is what remains of r when there was progress: what is not to be tried again.
func (r endedRuns) givenUp() endedRuns {
	runs := maps.Clone(r.Runs)
	maps.DeleteFunc(runs, func(_ string, n int) bool { return n < maxEndedRuns })
	return endedRuns{Runs: runs}
}

// caller is how one run of a job calls host code. The first run calls it beside the
// others, and writes nothing down: its suspect is nil. A nil caller is the
// application itself, by Ask or Ping for example: it neither waits nor is waited for.
type caller struct {
	quiet   *quiet
	suspect *suspect
}

// suspect is what an earlier run has left that did not come to its end. It may be that
// which ended the process: so it runs alone, and its step is written down. It is used
// by one goroutine at a time.
type suspect struct {
	quiet   *quiet
	run     run
	ended   endedRuns // as it was loaded
	write   func(ctx context.Context, text string) (rows int64, err error)
	stalled error // nothing can be written down: the run is to end
}

// run names what a River job does with an intent, with decisions or with a delivery.
type run struct {
	JobID int64
	Of    uuid.UUID // the intent, the first subscription or the delivery
}

// caller is how a run of a job calls host code for one thing, of which ended is what is
// written down of runs that did not come to their end.
func (e *Engine) caller(by carrier, of uuid.UUID, ended endedRuns, write func(context.Context, string) (int64, error)) *caller {
	if !by.Died && ended.empty() {
		return e.firstRun
	}
	r := run{JobID: by.JobID, Of: of}
	ended.Runs = e.quiet.endedOf(r, ended.Runs)
	return &caller{quiet: &e.quiet, suspect: &suspect{
		quiet: &e.quiet,
		run:   r,
		ended: ended,
		write: write,
	}}
}

// call calls f, which is host code. The error is an endedError where f is given up, or a
// stallError: f was not called, or what it did does not count.
func (c *caller) call(ctx context.Context, in step, f func()) error {
	switch {
	case c == nil:
		f()
		return nil
	case c.suspect == nil:
		c.quiet.beside(f)
		return nil
	default:
		return c.suspect.call(ctx, in, f)
	}
}

// stalled is the stallError of an earlier call.
func (c *caller) stalled() error {
	if c == nil || c.suspect == nil {
		return nil
	}
	return c.suspect.stalled
}

// ended is what is written down of a suspect as it was loaded.
func (c *caller) ended() endedRuns {
	if c == nil || c.suspect == nil {
		return endedRuns{}
	}
	return c.suspect.ended
}

func (s *suspect) call(ctx context.Context, in step, f func()) error {
	name := in.String()
	switch {
	case s.stalled != nil:
		return s.stalled
	case s.ended.Runs[name] >= maxEndedRuns:
		return &endedError{in}
	}
	s.quiet.alone(func() {
		if ctx.Err() != nil {
			s.stalled = &stallError{"begin " + name, context.Cause(ctx)}
			return
		}
		if s.stalled = s.begin(ctx, name); s.stalled != nil {
			return
		}
		f()
		s.stalled = s.back(ctx)
	})
	return s.stalled
}

// callLast is call for the last step before a request goes out.
func (c *caller) callLast(ctx context.Context, in step, f func()) error {
	return c.call(ctx, in, func() {
		f()
		if c != nil && c.suspect != nil {
			c.suspect.ended.Unsent = false
		}
	})
}

// begin writes down that this run is in a step.
func (s *suspect) begin(ctx context.Context, name string) error {
	s.quiet.mu.Lock()
	defer s.quiet.mu.Unlock()
	if s.quiet.stopped {
		return nil
	}
	if err := s.mark(ctx, s.ended.begin(name)); err != nil {
		return err
	}
	delete(s.quiet.back, s.run)
	s.quiet.marked = s
	return nil
}

// back writes down that this run has come back.
func (s *suspect) back(ctx context.Context) error {
	s.quiet.mu.Lock()
	defer s.quiet.mu.Unlock()
	if s.quiet.marked == s {
		s.quiet.marked = nil
	}
	err := s.mark(ctx, s.ended)
	if err != nil {
		if s.quiet.back == nil {
			s.quiet.back = map[run]map[string]int{}
		}
		s.quiet.back[s.run] = s.ended.Runs
	}
	return err
}

// endedOf is what is true of a run of which the database may say that it did not come
// back from the step that it began last.
func (q *quiet) endedOf(r run, stored map[string]int) map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if runs, ok := q.back[r]; ok {
		return runs
	}
	return stored
}

func (s *suspect) mark(ctx context.Context, r endedRuns) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	rows, err := s.write(ctx, r.text())
	if err == nil && rows == 0 {
		err = errors.New("it has moved on, or another transaction has locked its row")
	}
	if err != nil {
		return &stallError{"write down a step", err}
	}
	return nil
}

// stop takes back what is written down of the step that is under way: an engine that is
// told to stop may be ended at any time, and that is nobody's fault.
func (q *quiet) stop(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	if q.marked == nil {
		return nil
	}
	s := q.marked
	q.marked = nil
	return s.mark(ctx, s.ended)
}

// expansionCaller is how a run calls host code for an expansion.
func (e *Engine) expansionCaller(by carrier, in *intent) *caller {
	return e.caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkExpansion(ctx, &store.MarkExpansionParams{
			IntentID:  in.ID,
			After:     in.After,
			EndedRuns: text,
		})
	})
}

// decisionCaller is how a run calls host code for decisions that waited. What is written
// down of it is with the first of them.
func (e *Engine) decisionCaller(by carrier, in *intent, ended endedRuns, first uuid.UUID) *caller {
	return e.caller(by, first, ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkDecision(ctx, &store.MarkDecisionParams{
			IntentID:       in.ID,
			SubscriptionID: first,
			JobID:          by.JobID,
			EndedRuns:      text,
		})
	})
}

// attemptCaller is how a run calls host code for an attempt.
func (e *Engine) attemptCaller(by carrier, t *target) *caller {
	return e.caller(by, t.ID, t.Ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkDelivery(ctx, &store.MarkDeliveryParams{
			ID:        t.ID,
			Seq:       t.Seq,
			EndedRuns: text,
		})
	})
}

// notCalled is what becomes of a delivery whose host code was not called, or whose call
// does not count; nil where err is another one.
func (t *target) notCalled(err error) *transition {
	switch stall := (*stallError)(nil); {
	case isEnded(err):
		return t.cancel(err.Error())
	case errors.As(err, &stall):
		return t.postpone(stallWait, "its step could not be written down")
	default:
		return nil
	}
}

// isHostTree is true of a tree that is not ours.
func isHostTree(tree hierarchy.Tree) bool {
	_, sites := tree.(*hierarchy.Sites)
	return !sites && tree != hierarchy.Paths
}
