package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// BusyWait is how long the record of a delivery waits for a transaction of
	// the application that has locked its row, before it tries again. The records
	// of others do not wait with it.
	BusyWait = 50 * time.Millisecond

	// outageWait is the first wait for a database that cannot record anything;
	// it doubles.
	outageWait    = 10 * time.Millisecond
	maxOutageWait = time.Second
)

// Config is what a Recorder needs.
type Config struct {
	Batch   batch.Config
	DB      *pgxpool.Pool
	Engine  string // the ID of the engine, which is recorded with each attempt
	Hooks   Hooks
	Log     *slog.Logger
	NewID   func() uuid.UUID
	Passing func(error) bool // whether another try may not meet an error
	Schema  string
	Timeout time.Duration // how long one transition is tried
}

// Recorder records transitions. It is safe for concurrent use.
type Recorder struct {
	cfg     Config
	records *batch.Group[*attempt.Transition, result]
	store   *store.Queries // with plans that are kept
}

// result is what became of a transition.
type result int

const (
	superseded result = iota // another engine has moved the delivery meanwhile
	moved
	busy // the delivery's row is locked by another transaction; nothing was written
)

// NewRecorder makes a Recorder.
func NewRecorder(cfg *Config) *Recorder {
	r := &Recorder{cfg: *cfg, store: store.Frequent(cfg.DB, cfg.Schema)}
	r.records = batch.New(cfg.Batch, r.flush)
	return r
}

// Close waits for records under way, and refuses further ones.
func (r *Recorder) Close() { r.records.Close() }

// UnrecordedError is that of an attempt whose answer is lost: the job that carries
// it must be run again as one that was interrupted.
type UnrecordedError struct {
	ID  uuid.UUID // of the delivery
	Err error
}

func (u *UnrecordedError) Error() string {
	return fmt.Sprintf("delivery: record delivery %s: %s", u.ID, u.Err.Error())
}

// Unwrap returns the cause.
func (u *UnrecordedError) Unwrap() error { return u.Err }

// IsUnrecorded reports whether err is an UnrecordedError.
func IsUnrecorded(err error) bool {
	var u *UnrecordedError
	return errors.As(err, &u)
}

// unrecorded is the error of a transition that could not be recorded. Without a
// request nothing has happened.
func unrecorded(tr *attempt.Transition, err error) error {
	if tr.Attempt == nil {
		return callbacks.Stall("record delivery "+tr.Target.ID.String(), err)
	}
	return &UnrecordedError{ID: tr.Target.ID, Err: err}
}

// Record records a transition and waits until it is committed; then it calls the hooks.
// It returns whether the delivery was in the state from which the transition starts; if it
// was not, nothing is written.
//
// It continues when the job is cancelled: what happened is to be recorded. While the
// database cannot be reached or cannot write it tries again for Config.Timeout,
// because an attempt that is not recorded is made once more; a job that is
// cancelled does not wait for that. The error is an UnrecordedError, or a
// callbacks.StallError if there was no attempt.
func (r *Recorder) Record(job context.Context, tr *attempt.Transition) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(job), r.cfg.Timeout)
	defer cancel()
	for wait := outageWait; ; {
		became, err := r.records.Do(ctx, tr)
		switch {
		case r.isPassing(err) && Sleep(ctx, job, wait):
			wait = min(2*wait, maxOutageWait)
		case err != nil:
			return false, unrecorded(tr, err)
		case became != busy:
			r.Log(ctx, tr, became == moved)
			if became == moved {
				r.CallHooks(ctx, tr)
			}
			return became == moved, nil
		case !Sleep(ctx, ctx, BusyWait):
			return false, unrecorded(tr, fmt.Errorf("its row has been locked for %s", r.cfg.Timeout))
		}
	}
}

// isPassing is true of an error that another try may not meet.
func (r *Recorder) isPassing(err error) bool {
	return !errors.Is(err, batch.ErrClosed) && r.cfg.Passing(err)
}

// Sleep returns false if one of the contexts ends before d has passed.
func Sleep(one, other context.Context, d time.Duration) bool {
	select {
	case <-one.Done():
		return false
	case <-other.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// flush records a batch. What is said of an endpoint is written in the same transaction,
// except that a success alone ends its window of failures right after the statement.
func (r *Recorder) flush(ctx context.Context, trs []*attempt.Transition) (outs []result, err error) {
	several := false
	for _, tr := range trs {
		several = several || saysOfHealth(tr) || tr.State == attempt.StateExhausted
	}
	health := Health{} // what is busy comes again, and what was recorded before says nothing new
	if !several {
		outs, err = r.write(ctx, r.store, trs, health)
	} else {
		err = store.InTx(ctx, r.cfg.DB, r.cfg.Schema, func(q *store.Queries) error {
			if outs, err = r.write(ctx, q, trs, health); err != nil {
				return err
			}
			return r.conclude(ctx, q, health, exhaustions(trs, outs))
		})
	}
	if err != nil {
		return nil, err
	}
	if !several && len(health) > 0 {
		err := store.InTx(ctx, r.cfg.DB, r.cfg.Schema, func(q *store.Queries) error { return r.Conclude(ctx, q, health) })
		if err != nil { // the next success ends the window
			r.cfg.Log.WarnContext(ctx, "riverhook: the end of a window of failures was not recorded", "error", err)
		}
	}
	return outs, nil
}

// Write records the transitions of questions in the transaction of q, and enters in health
// what they say. Conclude writes that.
func (r *Recorder) Write(ctx context.Context, q *store.Queries, trs []*attempt.Transition, health Health) error {
	if len(trs) == 0 {
		return nil
	}
	_, err := r.write(ctx, q, trs, health)
	return err
}

// Conclude writes what health says in the transaction of q, and announces what follows.
func (r *Recorder) Conclude(ctx context.Context, q *store.Queries, health Health) error {
	return r.conclude(ctx, q, health, nil)
}

func (r *Recorder) conclude(ctx context.Context, q *store.Queries, health Health, ops []Operation) error {
	ended, err := health.Write(ctx, q)
	if err != nil {
		return err
	}
	return Announce(ctx, q, r.cfg.NewID, append(ops, health.recoveries(ended)...))
}

// fence is what a transition starts from. A batch can hold two transitions of one
// delivery: that of a worker that was believed dead, and its successor's.
type fence struct {
	ID  uuid.UUID
	Seq int
}

// write records transitions by one statement, and enters in health what those say that
// have moved their delivery.
func (r *Recorder) write(ctx context.Context, q *store.Queries, trs []*attempt.Transition, health Health) ([]result, error) {
	p := &store.RecordAttemptsParams{Engine: r.cfg.Engine}
	for _, tr := range trs {
		add(p, tr)
	}
	rows, err := q.RecordAttempts(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("delivery: record attempts: %w", err)
	}
	became := make(map[fence]store.RecordAttemptsRow, len(rows))
	for _, row := range rows {
		became[fence{row.ID, row.Seq}] = row
	}
	outs := make([]result, len(trs))
	for i, tr := range trs {
		switch row, ok := became[fence{tr.Target.ID, tr.Target.Seq}]; {
		case ok && row.Busy:
			outs[i] = busy
		case ok:
			outs[i] = moved
			health.Add(tr, row.Failing)
		}
	}
	return outs, nil
}

// add appends a transition to the parameters of the statement.
func add(p *store.RecordAttemptsParams, tr *attempt.Transition) {
	p.Ids = append(p.Ids, tr.Target.ID.String())
	p.Seqs = append(p.Seqs, tr.Target.Seq)
	p.States = append(p.States, string(tr.State))
	p.Holds = append(p.Holds, string(tr.Hold))
	p.Causes = append(p.Causes, tr.Cause.String())
	p.Reasons = append(p.Reasons, tr.Reason)
	p.Attempts = append(p.Attempts, tr.Attempts)
	p.Interrupted = append(p.Interrupted, tr.Interrupted)
	p.DueMs = append(p.DueMs, tr.Wait.Milliseconds())
	p.Again = append(p.Again, tr.Again)
	p.Stay = append(p.Stay, tr.Stay)
	p.AccessAgeMs = append(p.AccessAgeMs, accessAgeMs(tr.Target))
	p.Tried = append(p.Tried, tr.Attempt != nil)
	a := tr.Attempt
	if a == nil {
		a = &attempt.Attempt{}
	}
	p.Rounds = append(p.Rounds, tr.Target.Round)
	p.Numbers = append(p.Numbers, a.Number)
	p.Manuals = append(p.Manuals, a.Manual)
	p.Outcomes = append(p.Outcomes, string(a.Outcome))
	p.Errors = append(p.Errors, a.Error)
	p.AttemptReasons = append(p.AttemptReasons, a.Reason)
	p.Methods = append(p.Methods, a.Method)
	p.Statuses = append(p.Statuses, a.Status)
	p.ReasonPhrases = append(p.ReasonPhrases, a.ReasonPhrase)
	p.Urls = append(p.Urls, a.URL)
	p.RequestHeaders = append(p.RequestHeaders, attempt.HeadersOf(a.RequestHeaders))
	p.ResponseHeaders = append(p.ResponseHeaders, attempt.HeadersOf(a.ResponseHeaders))
	p.ResponseBodies = append(p.ResponseBodies, a.ResponseBody)
	p.ResponseHashes = append(p.ResponseHashes, a.ResponseSHA256)
	p.ResponseTruncated = append(p.ResponseTruncated, a.ResponseTruncated)
	p.RetryAfterMs = append(p.RetryAfterMs, a.RetryAfter.Milliseconds())
	p.DurationUs = append(p.DurationUs, a.Duration.Microseconds())
	p.Repeats = append(p.Repeats, a.Repeats)
	p.StartedAt = append(p.StartedAt, a.StartedAt)
}

// accessAgeMs is how long ago access was checked for an attempt; -1: the last check
// before it was still good.
func accessAgeMs(t *attempt.Target) int64 {
	age, rechecked := t.AccessAge(time.Now())
	if !rechecked {
		return -1
	}
	return age.Milliseconds()
}
