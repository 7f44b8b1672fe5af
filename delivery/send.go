package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/riverhook/riverhook/access"
)

const (
	// maxParallel bounds the requests of one River job, so that a large fan-out
	// leaves room for others.
	maxParallel = 32

	// admittedPerRequest is how many attempts of fan-outs an engine lets queue up
	// at their endpoints for each request that it may have in flight. More would
	// find that their turn is far off, however fast the endpoints are, and be
	// held: a row and a River job for what is only a burst.
	admittedPerRequest = 4

	// jobBudget is how long a River job starts new requests; what is left then
	// is handed over to jobs of its own.
	jobBudget = time.Minute
)

// attemptAll makes an attempt of each target and waits until all of them are
// recorded or handed over.
func (e *Engine) attemptAll(ctx context.Context, by carrier, targets []*target) error {
	if len(targets) == 1 {
		return e.attemptOne(ctx, by, targets[0], time.Now())
	}
	var (
		wg      sync.WaitGroup
		started = time.Now()
		slots   = make(chan struct{}, maxParallel)
		errs    = make([]error, len(targets))
	)
	for i, t := range targets {
		e.heart.Await(ctx)
		t.By = e.firstRun
		slots <- struct{}{}
		e.admitted <- struct{}{}
		wg.Add(1)
		done := func(err error) {
			errs[i] = err
			<-e.admitted
			<-slots
			wg.Done()
		}
		if by.Rerun || e.accessIsOld(t) || !e.secretsAtHand(t) || time.Since(started) > jobBudget {
			go func() { done(e.attemptOne(ctx, by, t, started)) }()
			continue
		}
		// What remains of the gates asks nobody, and who waits for a slot needs
		// no goroutine.
		if tr := e.gate(ctx, t); tr != nil {
			go func() { done(e.record(ctx, tr)) }()
			continue
		}
		e.endpoints.enter(ctx, t.Sub.ID, t.Sub.MaxInFlight, func(ok bool) {
			go func() { done(e.takeTurn(ctx, t, ok)) }()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (e *Engine) attemptOne(ctx context.Context, by carrier, t *target, started time.Time) error {
	if by.Rerun && !t.Ended.Unsent {
		ended, err := e.recordInterrupted(ctx, t)
		if err != nil || ended {
			return err
		}
	}
	t.By = e.attemptCaller(by, t)
	if time.Since(started) > jobBudget {
		return e.record(ctx, t.postpone(0, ""))
	}
	if tr := e.gate(ctx, t); tr != nil {
		return e.record(ctx, tr)
	}
	e.heart.Await(ctx)
	return e.takeTurn(ctx, t, e.endpoints.acquire(ctx, t.Sub.ID, t.Sub.MaxInFlight))
}

// takeTurn makes the attempt of a target that has a slot of its endpoint, and
// holds the delivery of one that did not get any.
func (e *Engine) takeTurn(ctx context.Context, t *target, ok bool) error {
	if !ok {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return e.record(ctx, t.hold(holdSlots, "the endpoint has as many requests in flight as it may have"))
	}
	tr := e.attemptInSlot(ctx, t)
	e.endpoints.leave(t.Sub.ID)
	if tr == nil { // stopped before the request went out
		return context.Cause(ctx)
	}
	err := e.record(ctx, tr)
	e.at(pointRecorded)
	return errors.Join(err, e.releaseNext(ctx, t.Sub.ID))
}

// attemptInSlot makes the request of a delivery that has a slot of its endpoint,
// as soon as there is one of the process. No request goes out whose answer could
// not be recorded. It returns nil when the engine stopped before that.
func (e *Engine) attemptInSlot(ctx context.Context, t *target) *transition {
	select {
	case e.inFlight <- struct{}{}:
		defer func() { <-e.inFlight }()
	case <-ctx.Done():
		return nil
	}
	if !e.heart.Await(ctx) {
		return nil
	}
	if tr := e.gate(ctx, t); tr != nil { // once more: it may have waited for long
		return tr
	}
	if tr := e.authFor(ctx, t); tr != nil {
		return tr
	}
	tr := e.request(ctx, t)
	if tr != nil && tr.Attempt != nil {
		e.at(pointAnswered)
		e.judgeEndpoint(tr)
	}
	return tr
}

// recordInterrupted notes, before a delivery is tried again, that the earlier
// run of its job may have sent it: a delivery that kills its engine each time
// must come to an end too.
func (e *Engine) recordInterrupted(ctx context.Context, t *target) (ended bool, err error) {
	schedule, ok := e.schedule(t)
	if !ok {
		return false, nil
	}
	a := &attempt{
		Number: t.number(), Manual: t.Manual, Outcome: OutcomeInterrupted,
		Error: "the engine ended before the answer was recorded", URL: publicURL(t.Sub.URL), StartedAt: time.Now(),
	}
	tr := t.interruptedBy(a, schedule, e.random)
	tr.Stay = tr.State == statePending && !tr.Again
	if err := e.record(ctx, tr); err != nil {
		return false, err
	}
	t.Seq++
	t.Ended.Unsent = true
	t.Interrupted, t.Attempts, t.Manual = tr.Interrupted, tr.Attempts, t.Manual && tr.Attempts == 0
	return !tr.Stay, nil
}

// gate says what is to become of a delivery that may not be sent now; nil lets
// it pass.
func (e *Engine) gate(ctx context.Context, t *target) *transition {
	if tr := t.subscriptionGate(time.Now()); tr != nil {
		return tr
	}
	if _, ok := e.cfg.Dialects.Get(t.Dialect); !ok {
		return e.wiring(ctx, t, fmt.Sprintf("no dialect %q in this process", t.Dialect))
	}
	if _, ok := e.schedule(t); !ok {
		return e.wiring(ctx, t, fmt.Sprintf("no schedule %q in this process", t.Sub.Schedule))
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
	return !t.Sub.Operator && time.Since(t.AccessAt) > e.cfg.AccessMaxAge
}

func (e *Engine) wiring(ctx context.Context, t *target, reason string) *transition {
	e.log.WarnContext(ctx, "riverhook: delivery waits", "delivery", t.ID, "intent", t.Event.ID, "reason", reason)
	return t.postpone(wiringWait, reason)
}

// recheck asks again whether the owner may see the resource.
func (e *Engine) recheck(ctx context.Context, t *target) *transition {
	asked := time.Now()
	var requests []access.Request
	for _, principal := range e.principals(t.Event, t.Sub.Owner) {
		requests = append(requests, accessRequest(t.Event, principal, t.Sub.Permission))
	}
	answers, err := e.checkMany(ctx, t.By, t.Event, requests)
	if err != nil {
		return t.notCalled(err)
	}
	for i, err := range answers {
		if err == nil {
			continue
		}
		switch outcome, reason := judge(err, requests[i]); {
		case outcome == decisionDenied:
			return t.cancel("access denied: " + reason)
		case outcome == decisionUnresolvable:
			return t.cancel("unresolvable: " + reason)
		case errors.Is(err, access.ErrNoChecker):
			return e.wiring(ctx, t, reason)
		default:
			return t.postpone(undecidedWait, reason)
		}
	}
	t.AccessAt, t.Rechecked = asked, true
	return nil
}

// schedule is the one that the subscription names.
func (e *Engine) schedule(t *target) (Schedule, bool) {
	name := t.Sub.Schedule
	if name == "" {
		name = ScheduleStandard
	}
	s, ok := e.schedules[name]
	return s, ok
}
