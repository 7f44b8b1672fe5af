package record

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

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
