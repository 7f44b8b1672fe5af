package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// recorded is what became of a transition.
type recorded int

const (
	superseded recorded = iota // another engine has moved the delivery meanwhile
	moved
	busy // the delivery's row is locked by somebody else; nothing was written
)

// recordTimeout bounds the record of an attempt, which goes on when its job is
// cancelled.
const recordTimeout = 30 * time.Second

// busyWait is how long the record of a delivery waits for a transaction of the
// application that has locked its row, before it looks again. The records of
// others do not wait with it.
const busyWait = 50 * time.Millisecond

// record moves a delivery on and waits until that is committed. It goes on
// when the job is cancelled: what happened is to be recorded.
func (e *Engine) record(ctx context.Context, tr *transition) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for {
		became, err := e.records.Do(ctx, tr)
		if err != nil {
			return fmt.Errorf("delivery: record delivery %s: %w", tr.Target.ID, err)
		}
		if became != busy {
			e.logTransition(ctx, tr, became == moved)
			return nil
		}
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return fmt.Errorf("delivery: record delivery %s: its row has been locked for %s", tr.Target.ID, recordTimeout)
		}
	}
}

// recordTransitions is the flush of the batch of records.
func (e *Engine) recordTransitions(ctx context.Context, batch []*transition) ([]recorded, error) {
	p := &store.RecordAttemptsParams{Engine: e.cfg.ID}
	all := healthBook{}
	for _, tr := range batch {
		addTransition(p, tr)
		all.add(tr)
	}
	outs := make([]recorded, len(batch))
	err := e.inTx(ctx, !all.empty(), func(q *store.Queries) error {
		rows, err := q.RecordAttempts(ctx, p)
		if err != nil {
			return fmt.Errorf("delivery: record attempts: %w", err)
		}
		became := make(map[uuid.UUID]recorded, len(rows))
		for _, row := range rows {
			became[row.ID] = moved
			if row.Busy {
				became[row.ID] = busy
			}
		}
		health := healthBook{} // those that are busy come again
		for i, tr := range batch {
			if outs[i] = became[tr.Target.ID]; outs[i] != busy {
				health.add(tr)
			}
		}
		return health.write(ctx, q)
	})
	if err != nil {
		return nil, err
	}
	return outs, nil
}

func addTransition(p *store.RecordAttemptsParams, tr *transition) {
	p.Ids = append(p.Ids, tr.Target.ID.String())
	p.Seqs = append(p.Seqs, int32(tr.Target.Seq))
	p.States = append(p.States, tr.State)
	p.Holds = append(p.Holds, tr.Hold)
	p.Reasons = append(p.Reasons, tr.Reason)
	p.Attempts = append(p.Attempts, int32(tr.Attempts))
	p.Interrupted = append(p.Interrupted, int32(tr.Interrupted))
	p.DueMs = append(p.DueMs, tr.Wait.Milliseconds())
	p.Again = append(p.Again, tr.Again)
	p.Stay = append(p.Stay, tr.Stay)
	p.AccessAgeMs = append(p.AccessAgeMs, tr.Target.accessAge())
	p.Tried = append(p.Tried, tr.Attempt != nil)
	a := tr.Attempt
	if a == nil {
		a = &attempt{}
	}
	p.Rounds = append(p.Rounds, int32(tr.Target.Round))
	p.Numbers = append(p.Numbers, int32(a.Number))
	p.Manuals = append(p.Manuals, a.Manual)
	p.Outcomes = append(p.Outcomes, string(a.Outcome))
	p.Errors = append(p.Errors, a.Error)
	p.Statuses = append(p.Statuses, int32(a.Status))
	p.Urls = append(p.Urls, a.URL)
	p.RequestHeaders = append(p.RequestHeaders, orEmptyObject(a.RequestHeaders))
	p.ResponseHeaders = append(p.ResponseHeaders, orEmptyObject(a.ResponseHeaders))
	p.ResponseBodies = append(p.ResponseBodies, a.ResponseBody)
	p.ResponseTruncated = append(p.ResponseTruncated, a.ResponseTruncated)
	p.RetryAfterMs = append(p.RetryAfterMs, a.RetryAfter.Milliseconds())
	p.DurationUs = append(p.DurationUs, a.Duration.Microseconds())
	p.StartedAt = append(p.StartedAt, a.StartedAt)
}

func orEmptyObject(json string) string {
	if json == "" {
		return "{}"
	}
	return json
}

// logTransition writes the one line of an attempt, or of what kept it away.
func (e *Engine) logTransition(ctx context.Context, tr *transition, moved bool) {
	if !e.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	t := tr.Target
	attrs := []slog.Attr{
		slog.String("intent", t.Event.ID), slog.String("type", t.Event.Type), slog.Any("delivery", t.ID),
		slog.Any("subscription", t.Sub.ID), slog.String("state", tr.State),
	}
	if a := tr.Attempt; a != nil {
		attrs = append(attrs, slog.Int("attempt", a.Number), slog.Bool("manual", a.Manual), slog.String("outcome", string(a.Outcome)),
			slog.Int("status", a.Status), slog.String("error", a.Error), slog.Duration("took", a.Duration))
	}
	if tr.Hold != "" {
		attrs = append(attrs, slog.String("hold", tr.Hold))
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
