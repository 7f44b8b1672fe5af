package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// recorded is what became of a transition.
type recorded int

const (
	superseded recorded = iota // another engine has moved the delivery meanwhile
	moved
	busy // the delivery's row is locked by somebody else; nothing was written
)

const (
	// writeTimeout bounds what is written about something that has happened, when
	// its job may be cancelled already.
	writeTimeout = 30 * time.Second

	// busyWait is how long the record of a delivery waits for a transaction of
	// the application that has locked its row, before it looks again. The records
	// of others do not wait with it.
	busyWait = 50 * time.Millisecond

	// troubleWait is the first wait for a database that cannot record anything;
	// it doubles.
	troubleWait    = 10 * time.Millisecond
	maxTroubleWait = time.Second
)

// unrecordedError is that of an attempt whose answer is lost: the job that carries
// it must be run again as one that was interrupted.
type unrecordedError struct {
	id  uuid.UUID
	err error
}

func (u *unrecordedError) Error() string {
	return fmt.Sprintf("delivery: record delivery %s: %s", u.id, u.err.Error())
}

func (u *unrecordedError) Unwrap() error { return u.err }

// unrecorded is the error of a transition that could not be recorded. Where
// there was no request nothing has happened.
func unrecorded(tr *attempt.Transition, err error) error {
	if tr.Attempt == nil {
		return callbacks.Stall("record delivery "+tr.Target.ID.String(), err)
	}
	return &unrecordedError{tr.Target.ID, err}
}

// record moves a delivery on and waits until that is committed. It goes on
// when the job is cancelled: what happened is to be recorded. While the database
// cannot be reached or cannot write it tries again for Config.RecordTimeout,
// because an attempt that is not recorded is made once more; a job that is
// cancelled does not wait for that.
func (e *Engine) record(job context.Context, tr *attempt.Transition) error {
	_, err := e.recordMoved(job, tr)
	return err
}

// recordMoved is record for who must know whether the delivery was where it was
// believed to be.
func (e *Engine) recordMoved(job context.Context, tr *attempt.Transition) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(job), e.cfg.RecordTimeout)
	defer cancel()
	for wait := troubleWait; ; {
		became, err := e.records.Do(ctx, tr)
		switch {
		case e.isPassing(err) && sleep(ctx, job, wait):
			wait = min(2*wait, maxTroubleWait)
		case err != nil:
			return false, unrecorded(tr, err)
		case became != busy:
			e.logTransition(ctx, tr, became == moved)
			if became == moved {
				e.tellOf(ctx, tr)
			}
			return became == moved, nil
		case !sleep(ctx, ctx, busyWait):
			return false, unrecorded(tr, fmt.Errorf("its row has been locked for %s", e.cfg.RecordTimeout))
		}
	}
}

// sleep returns false when one of the contexts ends first.
func sleep(one, other context.Context, d time.Duration) bool {
	select {
	case <-one.Done():
		return false
	case <-other.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// isPassing is true of an error that another try may not meet.
func (e *Engine) isPassing(err error) bool {
	return !errors.Is(err, batch.ErrClosed) && e.heart.Passing(err)
}

// fence is what a transition starts from. A batch can hold two transitions of one
// delivery: that of a worker that was believed dead, and its successor's.
type fence struct {
	ID  uuid.UUID
	Seq int
}

// recordTransitions is the flush of the batch of records.
func (e *Engine) recordTransitions(ctx context.Context, trs []*attempt.Transition) ([]recorded, error) {
	p := &store.RecordAttemptsParams{Engine: e.cfg.ID}
	several := false
	for _, tr := range trs {
		addTransition(p, tr)
		several = several || saysOfHealth(tr) || tr.State == attempt.StateExhausted
	}
	outs := make([]recorded, len(trs))
	health := healthBook{} // what is busy comes again, and what was recorded before says nothing new
	err := e.inTx(ctx, several, func(q *store.Queries) error {
		rows, err := q.RecordAttempts(ctx, p)
		if err != nil {
			return fmt.Errorf("delivery: record attempts: %w", err)
		}
		became := make(map[fence]store.RecordAttemptsRow, len(rows))
		for _, row := range rows {
			became[fence{row.ID, row.Seq}] = row
		}
		for i, tr := range trs {
			switch row, ok := became[fence{tr.Target.ID, tr.Target.Seq}]; {
			case ok && row.Busy:
				outs[i] = busy
			case ok:
				outs[i] = moved
				health.add(tr, row.Failing)
			}
		}
		if !several {
			return nil
		}
		return e.conclude(ctx, q, health, exhaustions(trs, outs))
	})
	if err != nil {
		return nil, err
	}
	if !several && !health.empty() {
		err := e.inTx(ctx, true, func(q *store.Queries) error { return e.conclude(ctx, q, health, nil) })
		if err != nil { // the next success ends the window
			e.log.WarnContext(ctx, "riverhook: the end of a window of failures was not recorded", "error", err)
		}
	}
	return outs, nil
}

func addTransition(p *store.RecordAttemptsParams, tr *attempt.Transition) {
	p.Ids = append(p.Ids, tr.Target.ID.String())
	p.Seqs = append(p.Seqs, tr.Target.Seq)
	p.States = append(p.States, string(tr.State))
	p.Holds = append(p.Holds, string(tr.Hold))
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
	p.RequestHeaders = append(p.RequestHeaders, orEmptyObject(a.RequestHeaders))
	p.ResponseHeaders = append(p.ResponseHeaders, orEmptyObject(a.ResponseHeaders))
	p.ResponseBodies = append(p.ResponseBodies, a.ResponseBody)
	p.ResponseHashes = append(p.ResponseHashes, a.ResponseSHA256)
	p.ResponseTruncated = append(p.ResponseTruncated, a.ResponseTruncated)
	p.RetryAfterMs = append(p.RetryAfterMs, a.RetryAfter.Milliseconds())
	p.DurationUs = append(p.DurationUs, a.Duration.Microseconds())
	p.Repeats = append(p.Repeats, a.Repeats)
	p.StartedAt = append(p.StartedAt, a.StartedAt)
}

// accessAgeMs is -1 where access was not checked again.
func accessAgeMs(t *attempt.Target) int64 {
	if age, rechecked := t.AccessAge(time.Now()); rechecked {
		return age.Milliseconds()
	}
	return -1
}

func orEmptyObject(json string) string {
	if json == "" {
		return "{}"
	}
	return json
}

// logTransition writes the one line of an attempt, or of what kept it away.
func (e *Engine) logTransition(ctx context.Context, tr *attempt.Transition, moved bool) {
	if !e.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	t := tr.Target
	attrs := []slog.Attr{
		slog.String("intent", t.Event.ID), slog.String("type", t.Event.Type), slog.Any("delivery", t.ID),
		slog.Any("subscription", t.Sub.ID), slog.String("state", string(tr.State)),
	}
	if a := tr.Attempt; a != nil {
		attrs = append(attrs, slog.Int("attempt", a.Number), slog.Bool("manual", a.Manual), slog.String("outcome", string(a.Outcome)),
			slog.Int("status", a.Status), slog.String("error", a.Error), slog.Duration("took", a.Duration))
	}
	if tr.Attempt != nil && tr.Attempt.Repeats > 0 {
		attrs = append(attrs, slog.Int("repeats", tr.Attempt.Repeats))
	}
	if tr.Attempt != nil && tr.Attempt.Reason != "" {
		attrs = append(attrs, slog.String("detail", tr.Attempt.Reason))
	}
	if tr.Hold != "" {
		attrs = append(attrs, slog.String("hold", string(tr.Hold)))
	}
	if tr.Reason != "" {
		attrs = append(attrs, slog.String("reason", tr.Reason))
	}
	if tr.Again {
		attrs = append(attrs, slog.Duration("next", tr.Wait))
	}
	if !moved {
		attrs = append(attrs, slog.Bool("superseded", true))
	}
	if tr.Attempt != nil {
		e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: attempt", attrs...)
		return
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: delivery waits or ends", attrs...)
}
