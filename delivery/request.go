package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
)

// maxResponseRead bounds what is read of an answer's body. What is behind it is
// left on the connection, which is then closed.
const maxResponseRead = 64 << 10

// request builds, signs and sends one attempt, and works out what follows. It
// returns nil when the engine stopped before the request went out, and overtaken
// where what it was made from has changed by then.
func (e *Engine) request(ctx context.Context, t *target) (tr *attempt.Transition, overtaken bool) {
	if !t.Opened || t.BodyLater {
		return nil, false
	}
	schedule, _ := e.attemptSchedule(t)
	d, _ := e.cfg.Dialects.Get(t.Dialect)
	a := attempt.New(&t.Target, time.Now())
	built, err := e.build(ctx, d, t, a)
	if tr := t.notCalled(err); tr != nil {
		return tr, false
	}
	if err != nil {
		a.Outcome, a.Error = OutcomeFailed, callbacks.ReasonDialect+callbacks.Brief(err)
		return t.Failed(a, schedule, e.random), false
	}
	if ctx.Err() != nil {
		return nil, false
	}
	header, _ := e.send(ctx, t, built, a)
	if a.Overtaken {
		return nil, ctx.Err() == nil
	}
	if a.Outcome == OutcomeInterrupted && ctx.Err() == nil {
		a.Outcome = OutcomeUnreachable
	}
	if a.Outcome == OutcomeInterrupted && errors.Is(context.Cause(ctx), river.ErrJobCancelledRemotely) {
		tr := t.Cancel("its River job was cancelled")
		tr.Attempt = a
		return tr, false
	}
	tr = t.After(a, schedule, e.random)
	if tr.State == attempt.StateDelivered && isVeto(a.Status, header) {
		tr.Reason = lateVetoReason
		e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: veto ignored", slog.Any("delivery", t.ID), slog.String("intent", t.Event.ID),
			slog.Any("subscription", t.Sub.ID), slog.String("reason", lateVetoReason))
	}
	return tr, false
}

// send makes the request and fills in what came of it. The timeout is for the
// whole of it, the answer's body included. It returns the answer's headers, and of
// its body what was read. Where a.Overtaken is set no request was made.
func (e *Engine) send(ctx context.Context, t *target, built dialect.Request, a *attempt.Attempt) (header http.Header, body []byte) {
	job := ctx
	a.Method = built.Method
	ctx, cancel := context.WithTimeout(job, e.timeoutOf(t))
	defer cancel()
	var x egress.Exchange
	resp, err := e.exchange(egress.WithExchange(ctx, &x), t, built, a)
	if errors.Is(err, errOvertaken) {
		a.Overtaken = true
		return nil, nil
	}
	a.Repeats = x.Repeats
	if err == nil {
		header = resp.Header
		a.Received(resp)
		var complete bool
		a.ResponseHeaders, complete = e.recorder.Record(header, t.headers())
		body, err = e.readAnswer(resp, t.Event.Type, a)
		a.ResponseTruncated = a.ResponseTruncated || !complete
	}
	a.Duration = time.Since(a.StartedAt)
	if err != nil && job.Err() != nil {
		err = context.Canceled // net/http tells the cause instead, which is any error of River's
	}
	a.Conclude(classify(a.Status, header, err, time.Now(), e.cfg.ThrottleWait))
	a.Unanswered = a.Outcome == OutcomeUnreachable && x.Unanswered
	if a.Veto != nil {
		e.noteVeto(a, t.Event.Type)
	}
	e.keepAnswer(t, a, header, body)
	return header, body
}

// timeoutOf bounds a request, its answer included.
func (e *Engine) timeoutOf(t *target) time.Duration {
	if t.Sub.Timeout != 0 {
		return t.Sub.Timeout
	}
	return e.cfg.Timeout
}

// readAnswer reads a bounded part of the body, and keeps of that what is to be
// kept.
func (e *Engine) readAnswer(resp *http.Response, eventType string, a *attempt.Attempt) ([]byte, error) {
	defer resp.Body.Close() //nolint:errcheck // nothing follows from it
	if resp.StatusCode < http.StatusOK {
		// 101 is the only one that net/http hands on. Its body is the connection
		// itself, and a read of that does not end with the request's time.
		return nil, nil
	}
	most := e.readBytes()
	read, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if isQuestion(eventType) && isVeto(resp.StatusCode, resp.Header) {
		a.Veto = new(vetoReason(read))
	}
	body := read
	keep, _ := e.cfg.History.of(eventType, payloadRule{})
	if size := e.keptBytes(keep, most); len(body) > size {
		body, a.ResponseTruncated = body[:size:size], true
	}
	switch {
	case len(body) == 0:
	case keep == KeepHash:
		sum := sha256.Sum256(body)
		a.ResponseSHA256 = sum[:]
	default:
		a.ResponseBody = body
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return read, err
}

// readBytes is how much is read of a body.
func (e *Engine) readBytes() int { return max(e.cfg.ResponseBytes, maxResponseRead) }

// keptBytes is how much of a body that was read is kept: as it is, or in a hash.
func (e *Engine) keptBytes(keep Keep, read int) int {
	switch keep {
	case KeepHash:
		return read
	case KeepNothing:
		return 0
	default:
		return max(e.cfg.ResponseBytes, 0)
	}
}
