package turns

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// interval is the time between two passes while the workers are mostly busy.
	interval = 20 * time.Millisecond

	// maxShares is how many shares a pass visits. The next one goes on after them.
	maxShares = 100

	// maxJobs is the most jobs that a pass takes.
	maxJobs = 100

	// each is how many jobs of one share a pass takes.
	each = 16

	// cancelInterval is how often a taker asks whether one of the jobs that it has taken was
	// cancelled. River's producers are notified of theirs, and ask as well.
	cancelInterval = time.Second

	// partTaken is the part of the workers of a queue that may be busy with jobs taken by turns
	// in addition to them.
	partTaken = 4
)

// Config is what a Taker works by.
type Config struct {
	Batch     batch.Config
	Heart     *heartbeat.Heart
	Log       *slog.Logger
	Process   string // the name of the engine among the heartbeats
	Queues    []string
	RetryWait func(failures int) time.Duration // after a run with an error, when so many had one before
	Runs      *heartbeat.Runs
	Store     *store.Queries
	Work      func(ctx context.Context, job *rivertype.JobRow) error
	Workers   int // of River, for each queue
}

// Taker takes River jobs by turns of their shares, beside River's workers, while these are
// mostly busy. It is safe for concurrent use.
type Taker struct {
	cfg      Config
	finishes *batch.Group[*finish, struct{}]
	loads    map[string]*load // by queue
	woken    chan struct{}

	jobs   context.Context //nolint:containedctx // ends when jobs are interrupted
	cancel context.CancelFunc
	rest   func()         // ends the loop
	under  sync.WaitGroup // the loop, and jobs

	mu      sync.Mutex                        // guards what follows
	taken   map[int64]context.CancelCauseFunc // jobs under way
	looking bool                              // it asks which of them were cancelled
	started bool
	resting bool // nothing is adopted any more
}

// NewTaker makes a taker that takes nothing before Start.
func NewTaker(cfg *Config) *Taker {
	t := &Taker{
		cfg:   *cfg,
		loads: map[string]*load{},
		woken: make(chan struct{}, 1),
		taken: map[int64]context.CancelCauseFunc{},
	}
	for _, queue := range cfg.Queues {
		t.loads[queue] = &load{
			workers: cfg.Workers,
			places:  max(1, cfg.Workers/partTaken),
			shares:  map[string]int{},
		}
	}
	t.finishes = batch.New(cfg.Batch, t.finishAll)
	t.jobs, t.cancel = context.WithCancel(context.Background())
	t.rest = func() {}
	return t
}

// ShareOf is the share of a job, as its tag has it; "" of a job that has none.
func ShareOf(job *rivertype.JobRow) string {
	if len(job.Tags) == 0 {
		return ""
	}
	return job.Tags[0]
}

// Begin counts a job that one of River's workers begins, until End.
func (t *Taker) Begin(job *rivertype.JobRow) {
	if t.loads[job.Queue].begin(ShareOf(job)) {
		select {
		case t.woken <- struct{}{}:
		default:
		}
	}
}

// End ends what Begin began.
func (t *Taker) End(job *rivertype.JobRow) { t.loads[job.Queue].end(ShareOf(job)) }

// Start lets the taker take turns until ctx ends, or Stop.
func (t *Taker) Start(ctx context.Context) {
	ctx, t.rest = context.WithCancel(ctx)
	t.mu.Lock()
	t.started = true
	t.mu.Unlock()
	t.under.Go(func() { t.run(ctx) })
}

// run takes turns until ctx ends. While River's workers are not mostly busy it does nothing.
func (t *Taker) run(ctx context.Context) {
	after := map[string]string{} // the last share that was visited, by queue
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.woken:
		}
		for behind := true; behind; {
			behind = false
			for _, queue := range t.cfg.Queues {
				if t.pass(ctx, queue, after) {
					behind = true
				}
			}
			if behind && !wait(ctx, interval) {
				return
			}
		}
	}
}

// wait returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pass takes the next turns of a queue, unless its workers are not mostly busy.
func (t *Taker) pass(ctx context.Context, queue string, after map[string]string) (behind bool) {
	l := t.loads[queue]
	behind, room, sated := l.look()
	if !behind || room <= 0 {
		return behind
	}
	most := min(room, maxJobs)
	rows, err := t.cfg.Store.TakeTurns(ctx, &store.TakeTurnsParams{
		Queue:     queue,
		After:     after[queue],
		MaxShares: maxShares,
		Each:      each,
		Enough:    sated,
		MaxJobs:   most,
		Process:   t.cfg.Process,
	})
	if err != nil {
		if ctx.Err() == nil && !t.cfg.Heart.Outage(ctx, err) {
			t.cfg.Log.ErrorContext(ctx, "riverhook: turns", "error", err)
		}
		return behind
	}
	after[queue] = next(rows, most)
	for i := range rows {
		if rows[i].ID == 0 {
			continue
		}
		t.begin(l, queue, &rows[i]) //nolint:contextcheck // a job goes on when the pass has ended
	}
	return behind
}

// next is the share after which the next pass begins: the last one that this pass has visited, or
// taken the last job of that it was allowed; "" after the last one of all.
func next(rows []store.TakeTurnsRow, most int) (after string) {
	if len(rows) == most {
		for i := range rows {
			after = max(after, rows[i].Tag)
		}
		return after
	}
	if len(rows) > 0 && rows[0].More {
		return rows[0].Last
	}
	return ""
}

// begin begins the work at a job that was taken.
func (t *Taker) begin(l *load, queue string, row *store.TakeTurnsRow) {
	job := &rivertype.JobRow{
		ID:          row.ID,
		Attempt:     row.Attempt,
		EncodedArgs: row.Args,
		Errors:      make([]rivertype.AttemptError, row.Failures),
		Kind:        row.Kind,
		MaxAttempts: row.MaxAttempts,
		Queue:       queue,
		State:       rivertype.JobStateRunning,
		Tags:        []string{row.Tag},
	}
	l.take(row.Tag)
	t.do(job, func() { l.giveBack(row.Tag) })
}

// do does a job beside River's workers, and ends its run.
func (t *Taker) do(job *rivertype.JobRow, done func()) {
	t.cfg.Runs.Begin(job.ID)
	ctx := t.own(job.ID)
	t.under.Go(func() {
		started := time.Now()
		trace, err := t.work(ctx, job)
		t.finish(newFinish(ctx, job, started, err, trace, t.cfg.RetryWait))
		t.disown(job.ID)
		t.cfg.Runs.End(job.ID)
		done()
	})
}

// own makes the context of a job, until disown. It ends when the job is cancelled through River.
func (t *Taker) own(id int64) context.Context {
	ctx, cancel := context.WithCancelCause(t.jobs)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken[id] = cancel
	if !t.looking {
		t.looking = true
		time.AfterFunc(cancelInterval, t.interruptCancelled)
	}
	return ctx
}

func (t *Taker) disown(id int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken[id](nil)
	delete(t.taken, id)
}

// interruptCancelled ends the context of the jobs that were cancelled, and looks again while some
// are under way.
func (t *Taker) interruptCancelled() {
	t.mu.Lock()
	ids := slices.Collect(maps.Keys(t.taken))
	t.looking = len(ids) > 0 && t.jobs.Err() == nil
	looking := t.looking
	t.mu.Unlock()
	if !looking {
		return
	}
	cancelled, err := t.cfg.Store.CancelledTurns(t.jobs, &store.CancelledTurnsParams{Ids: ids, Process: t.cfg.Process})
	if err != nil && t.jobs.Err() == nil && !t.cfg.Heart.Outage(t.jobs, err) {
		t.cfg.Log.ErrorContext(t.jobs, "riverhook: turns: look for cancelled jobs", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range cancelled {
		if cancel := t.taken[id]; cancel != nil {
			cancel(rivertype.ErrJobCancelledRemotely)
		}
	}
	time.AfterFunc(cancelInterval, t.interruptCancelled)
}

// work does a job. What it panics with is its error.
func (t *Taker) work(ctx context.Context, job *rivertype.JobRow) (trace string, err error) {
	defer func() {
		if p := recover(); p != nil {
			trace = string(debug.Stack())
			err = fmt.Errorf("%v", p)
		}
	}()
	return "", t.cfg.Work(ctx, job)
}

// Stop takes no more jobs, and waits for those that were taken. When ctx ends before that it
// returns its error: then they are to be interrupted by Interrupt. A taker that was not started
// has none.
func (t *Taker) Stop(ctx context.Context) error {
	t.mu.Lock()
	t.resting = true
	t.mu.Unlock()
	t.rest()
	done := make(chan struct{})
	go func() {
		t.under.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Interrupt ends the context of the jobs that were taken. They are available for others when
// they return.
func (t *Taker) Interrupt() { t.cancel() }

// Close ends what ends jobs. It must be called after the last one has returned, or was given up.
func (t *Taker) Close() {
	t.cancel()
	t.finishes.Close()
}
