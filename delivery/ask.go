package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/internal/batch"
)

// Ask asks, before something is done, whether it may be: it puts a question to the
// gates, which are the subscriptions with a matching pattern behind "before:", at
// the sites that an event would be told at. The error is nil where it may be done:
// every gate has agreed, or none had to be asked.
//
// A gate agrees by any 2xx. It says no by one with the content type
// dialect.ContentTypeCancel, or that of servo, and the body
// {"reason": "..."}: then the error is a [*VetoError] with each veto, once all gates
// have answered. Where none said no, but one with FailClosed could not be asked or
// did not answer well in time, it is an [*UnansweredError]. Gates without FailClosed
// keep nothing from being done but by a veto. The Answer says what became of each
// gate, also with these errors. Any other error says that nobody knows:
// [ErrInvalidQuestion], [ErrNotStarted] of an engine that was stopped, the end of
// ctx, or one of the database.
//
// Gates are asked once, all at the same time, through the egress policy, in their
// dialects and signed, as deliveries are. One deadline holds for their answers and
// for what leads to them: the look-up, access checks, externalizers, slots. Those
// whose owner may not see the resource, whose filter is false of the question or
// that are not active, are not asked and stop nothing. An endpoint whose circuit is open is not waited for.
//
// Ask takes no transaction, and is to be called before there is one: for as long as
// a stranger thinks, a transaction would hold its locks and its connection, and
// keep vacuum from cleaning up. Ask holds no connection while it waits. So by the
// time of the commit an answer can be old: it is about the moment of the question,
// and what must hold at the commit is to be checked in the transaction.
//
// When Ask returns, the history has the question as an intent of the type
// "before:...", and what came of it for each gate. It is recorded in one
// transaction, behind the answers, within 5 s more: a process that ends before
// leaves nothing. Where that fails the verdict holds, and Answer.Unrecorded says
// why. A question is never sent again.
//
// The engine need not be started, so that a process which only enqueues can ask.
// Config.Limits.InFlight counts questions as well.
func (e *Engine) Ask(ctx context.Context, q Question) (*Answer, error) {
	ev, err := q.event(e.cfg.Limits.RequestBytes)
	if err != nil {
		return nil, fmt.Errorf("delivery: ask: %w", err)
	}
	def(&q.Timeout, e.cfg.Timeouts.Ask)
	if err := e.learnClock(ctx, q.Timeout); err != nil {
		return nil, fmt.Errorf("delivery: ask %s: %w", ev.Type, err)
	}
	ev.ID, ev.OccurredAt = e.ids.next().String(), e.heart.Now().UTC().Truncate(time.Microsecond)
	gates, unrecorded, err := e.asker.Ask(ctx, ev, q.Timeout)
	switch {
	case errors.Is(err, batch.ErrClosed):
		return nil, fmt.Errorf("delivery: ask %s: %w", ev.Type, ErrNotStarted)
	case err != nil:
		return nil, fmt.Errorf("delivery: ask %s: %w", ev.Type, err)
	case len(gates) == 0:
		return &Answer{}, nil
	}
	answer := newAnswer(ev.ID, gates, unrecorded)
	err = answer.verdict()
	if err == nil && errors.Is(ctx.Err(), context.Canceled) { // then silence says nothing
		err = fmt.Errorf("delivery: ask %s: %w", ev.Type, context.Cause(ctx))
	}
	if err == nil && e.ended.Load() && answer.misses() { // nor does it then
		err = fmt.Errorf("delivery: ask %s: %w", ev.Type, ErrNotStarted)
	}
	return answer, err
}
