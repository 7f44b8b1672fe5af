package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
)

func (e *Engine) attemptOne(ctx context.Context, by callbacks.JobRef, t *target, started time.Time) error {
	if by.Rerun && !t.Ended.Unsent {
		ended, err := e.recordInterrupted(ctx, t)
		if err != nil || ended {
			return err
		}
	}
	t.By = e.attemptCaller(by, t)
	if time.Since(started) > jobBudget {
		return e.record(ctx, t.Postpone(0, ""))
	}
	if tr := e.gate(ctx, t); tr != nil {
		return e.record(ctx, tr)
	}
	e.heart.Await(ctx)
	return e.takeTurn(ctx, t, e.limiter.Acquire(ctx, t.EndpointKey(), t.Sub.MaxInFlight))
}

// takeTurn makes the attempt of a target that has a slot of its endpoint, and
// holds the delivery of one that did not get any.
func (e *Engine) takeTurn(ctx context.Context, t *target, ok bool) error {
	if !ok {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return e.record(ctx, t.HoldFor(attempt.HoldSlots, "the endpoint has as many requests in flight as it may have"))
	}
	key := t.EndpointKey() // what is read again can name another
	tr := e.attemptInSlot(ctx, t)
	e.limiter.Leave(key)
	switch {
	case tr != nil:
	case ctx.Err() != nil: // stopped before the request went out
		return context.Cause(ctx)
	case t.EndpointKey() != key: // the URL is another now, with slots of its own
		return e.takeTurn(ctx, t, e.limiter.Acquire(ctx, t.EndpointKey(), t.Sub.MaxInFlight))
	default: // somebody else has moved it on
		return e.releaser.Next(ctx, key)
	}
	err := e.record(ctx, e.spare(ctx, tr))
	e.limiter.Recorded(tr)
	e.at(pointRecorded)
	return errors.Join(err, e.releaser.Next(ctx, key))
}

// spare lets a delivery go on that a URL has ended which is not in force any more:
// it has its chance at the new one.
func (e *Engine) spare(ctx context.Context, tr *attempt.Transition) *attempt.Transition {
	t, a := tr.Target, tr.Attempt
	if a == nil || tr.State != attempt.StateExhausted && a.Outcome != OutcomeGone {
		return tr
	}
	sub, err := e.subs.Get(context.WithoutCancel(ctx), t.Sub.ID)
	if err != nil || sub.URLVersion == t.Sub.URLVersion { // one that was deleted has no chance
		return tr
	}
	return t.Postpone(attempt.ChangedWait, credentials.ErrChanged.Error()).Used(a)
}

// attemptInSlot makes the request of a delivery that has a slot of its endpoint,
// as soon as there is one of the process. No request goes out whose answer could
// not be recorded. It returns nil when the engine stopped before that, when the
// delivery was moved on by somebody else, and when the slot is of another URL than the
// target has by then.
func (e *Engine) attemptInSlot(ctx context.Context, t *target) *attempt.Transition {
	leave, ok := e.inFlight.Acquire(ctx)
	if !ok {
		return nil
	}
	defer leave()
	if !e.heart.Await(ctx) {
		return nil
	}
	slot := t.EndpointKey()
	for range maxRereads {
		if tr, overtaken := e.attemptAsRead(ctx, t, slot); !overtaken {
			return tr
		}
		t.ReadAt = time.Time{}
	}
	return t.Postpone(attempt.ChangedWait, errOvertaken.Error())
}

// attemptAsRead makes the request of a delivery by what is true of it now: it may
// have waited for long. It returns overtaken where that has changed before the
// request went out.
func (e *Engine) attemptAsRead(ctx context.Context, t *target, slot attempt.EndpointKey) (tr *attempt.Transition, overtaken bool) {
	if e.isOld(t) {
		switch still, err := e.reread(ctx, t); {
		case err != nil && ctx.Err() != nil:
			return nil, false
		case err != nil:
			return e.unread(ctx, t, err), false
		case !still || t.EndpointKey() != slot:
			return nil, false
		}
	}
	if tr := e.gate(ctx, t); tr != nil {
		return tr, false
	}
	if tr := e.authFor(ctx, t); tr != nil {
		return tr, false
	}
	if tr := e.bodyFor(ctx, t); tr != nil {
		return tr, false
	}
	if tr := e.probes.Claim(ctx, &t.Target, e.timeoutOf(t)); tr != nil {
		return tr, false
	}
	if tr, overtaken = e.request(ctx, t); tr != nil && tr.Attempt != nil {
		e.at(pointAnswered)
		e.limiter.Update(tr)
	}
	return tr, overtaken
}

// bodyFor loads the body of a message that is too large to wait with its delivery.
func (e *Engine) bodyFor(ctx context.Context, t *target) *attempt.Transition {
	if !t.BodyLater {
		return nil
	}
	e.at(pointLoading)
	body, err := t.Payloads.Get(ctx, t.Dialect)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // request sends nothing
	case err != nil:
		return e.unloaded(ctx, t, err)
	}
	t.Message.Body = body
	t.BodyLater = false
	t.MessageGone = body == nil
	return t.BlockedBy(time.Now())
}

func (e *Engine) unloaded(ctx context.Context, t *target, err error) *attempt.Transition {
	const reason = "its message could not be loaded"
	e.log.WarnContext(ctx, "riverhook: delivery waits", "delivery", t.ID, "intent", t.Event.ID, "reason", reason, "error", err)
	return t.Postpone(attempt.ChangedWait, reason)
}

// recordInterrupted notes, before a delivery is tried again, that the earlier
// run of its job may have sent it: a delivery that kills its engine each time
// must come to an end too.
func (e *Engine) recordInterrupted(ctx context.Context, t *target) (ended bool, err error) {
	schedule, ok := e.attemptSchedule(t)
	if !ok {
		return false, nil
	}
	a := attempt.New(&t.Target, time.Now())
	a.Outcome, a.Error = OutcomeInterrupted, "the engine ended before the answer was recorded"
	tr := t.InterruptedBy(a, schedule, e.random)
	tr.Stay = tr.State == attempt.StatePending && !tr.Again
	if recorded, err := e.recordMoved(ctx, tr); err != nil || !recorded {
		return true, err
	}
	t.Seq++
	t.Ended.Unsent = true
	t.Interrupted = tr.Interrupted
	t.Attempts = tr.Attempts
	t.Manual = t.Manual && tr.Attempts == 0
	return !tr.Stay, nil
}

// gate says what is to become of a delivery that may not be sent now; nil lets
// it pass.
func (e *Engine) gate(ctx context.Context, t *target) *attempt.Transition {
	if tr := t.BlockedBy(time.Now()); tr != nil {
		return tr
	}
	if _, ok := e.cfg.Dialects.Get(t.Dialect); !ok {
		return e.wiring(ctx, t, fmt.Sprintf("no dialect %q in this process", t.Dialect))
	}
	if _, ok := e.schedule(t); !ok {
		return e.wiring(ctx, t, fmt.Sprintf("no schedule %q in this process", e.scheduleName(t)))
	}
	if tr := e.openFor(ctx, t); tr != nil {
		return tr
	}
	if e.accessIsOld(t) {
		return e.recheck(ctx, t)
	}
	return nil
}

func (e *Engine) accessIsOld(t *target) bool {
	return !t.Sub.Operator && age(t.AccessAt, time.Now()) > e.cfg.AccessMaxAge
}

func (e *Engine) wiring(ctx context.Context, t *target, reason string) *attempt.Transition {
	e.log.WarnContext(ctx, "riverhook: delivery waits", "delivery", t.ID, "intent", t.Event.ID, "reason", reason)
	return t.Postpone(e.troubleWait(attempt.MissingWait), reason)
}

// recheck asks again whether the owner may see the resource.
func (e *Engine) recheck(ctx context.Context, t *target) *attempt.Transition {
	if t.DataLater {
		data, err := t.Payloads.Get(ctx, payloads.Data)
		if err != nil {
			return e.unloaded(ctx, t, err)
		}
		t.Event.Data, t.DataLater = data, false
	}
	asked := time.Now()
	place, err := e.finder.Locate(ctx, t.By, t.lookup())
	if tr := t.notCalled(err); tr != nil {
		return tr
	}
	if err != nil {
		return t.Postpone(e.troubleWait(attempt.UndecidedWait), decide.PlaceReason(err))
	}
	requests := e.decider.Access.AppendRequests(nil, t.Event, place, t.Sub.Owner, t.Sub.Permission)
	answers, _, err := e.decider.Access.Check(ctx, t.By, requests)
	if err != nil {
		return t.notCalled(err)
	}
	for i, err := range answers {
		if err == nil {
			continue
		}
		switch outcome, reason := decide.Refusal(err, requests[i]); {
		case outcome == decide.OutcomeDenied:
			return t.Cancel(callbacks.ReasonDenied + reason)
		case outcome == decide.OutcomeUnresolvable:
			return t.Cancel(callbacks.ReasonUnresolvable + reason)
		case errors.Is(err, access.ErrNoChecker):
			return e.wiring(ctx, t, reason)
		default:
			return t.Postpone(e.troubleWait(attempt.UndecidedWait), reason)
		}
	}
	t.AccessAt, t.Rechecked = asked, true
	return nil
}

// schedule is the one that the subscription names, or else its dialect.
func (e *Engine) schedule(t *target) (Schedule, bool) { return e.schedules.named(e.scheduleName(t)) }

// attemptSchedule is schedule as a transition needs it.
func (e *Engine) attemptSchedule(t *target) (attempt.Schedule, bool) {
	s, ok := e.schedule(t)
	return attempt.Schedule(s), ok
}

func (e *Engine) scheduleName(t *target) string {
	return cmp.Or(t.Sub.Schedule, e.dialectSchedule(t.Dialect), ScheduleStandard)
}

// dialectSchedule is the name of the schedule that a dialect brings; "" where it
// brings none.
func (e *Engine) dialectSchedule(name string) string {
	d, _ := e.cfg.Dialects.Get(name)
	if s, ok := d.(dialect.Scheduled); ok {
		return s.Schedule()
	}
	return ""
}
