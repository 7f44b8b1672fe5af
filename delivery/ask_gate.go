package delivery

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
)

// askAll asks all gates at once. Where no request could be made it says so in the
// decision.
func (e *Engine) askAll(ctx context.Context, targets []*target, decisions []decide.Decision) map[uuid.UUID]*attempt.Transition {
	made := make([]*attempt.Transition, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		if t == nil {
			continue
		}
		wg.Go(func() {
			var why unasked
			if made[i], why = e.askOne(ctx, t); made[i] == nil {
				decisions[i].Outcome = why.outcome
				decisions[i].Reason = why.reason
				decisions[i].DeliveryID = uuid.Nil
			}
		})
	}
	wg.Wait()
	asked := make(map[uuid.UUID]*attempt.Transition, len(targets))
	for i, tr := range made {
		if tr != nil {
			asked[decisions[i].Subscription.ID] = tr
		}
	}
	return asked
}

// unasked is why no request was made to a gate: it counts as one that has not
// answered, or has no say.
type unasked struct {
	outcome decide.Outcome
	reason  string
}

func unanswered(reason string) unasked { return unasked{decide.OutcomeUnanswered, reason} }

// askOne makes the one request to a gate, or says why it made none.
func (e *Engine) askOne(ctx context.Context, t *target) (*attempt.Transition, unasked) {
	late := unanswered("the time to answer was over before it could be asked")
	if kept := t.BlockedBy(time.Now()); kept != nil {
		return nil, unanswered(kept.Reason)
	}
	if kept := e.openFor(ctx, t); kept != nil {
		return nil, unanswered(kept.Reason)
	}
	for {
		key := t.EndpointKey()
		if !e.limiter.Acquire(ctx, key, t.Sub.MaxInFlight) {
			if ctx.Err() != nil {
				return nil, late
			}
			return nil, unanswered("the endpoint has as many requests in flight as it may have")
		}
		tr, why := e.askInSlot(ctx, t, key, late)
		if tr != nil || why.reason != "" {
			return tr, why
		}
	}
}

// askInSlot makes the request in a slot of an endpoint, and gives that back. It returns
// nothing where what was read again names another endpoint.
func (e *Engine) askInSlot(ctx context.Context, t *target, slot attempt.EndpointKey, late unasked) (*attempt.Transition, unasked) {
	defer e.limiter.Leave(slot)
	leave, ok := e.inFlight.Acquire(ctx)
	if !ok {
		return nil, late
	}
	defer leave()
	for range maxRereads {
		if why := e.gateAsRead(ctx, t); ctx.Err() != nil {
			return nil, late
		} else if why.reason != "" {
			return nil, why
		}
		if t.EndpointKey() != slot {
			return nil, unasked{}
		}
		if a := e.requestOnce(ctx, t); !a.Overtaken {
			tr := answered(&t.Target, a)
			e.limiter.Update(tr)
			return tr, unasked{}
		}
		t.ReadAt = time.Time{}
	}
	return nil, unanswered(errOvertaken.Error())
}

// gateAsRead says why a gate is not asked, by what is true of it now: it may have
// waited for long. Otherwise it opens what the request needs.
func (e *Engine) gateAsRead(ctx context.Context, t *target) unasked {
	if e.isOld(t) {
		switch still, err := e.reread(ctx, t); {
		case err != nil:
			e.log.WarnContext(ctx, "riverhook: a gate is not asked", "intent", t.Event.ID, "subscription", t.Sub.ID, "error", err)
			return unanswered("its subscription could not be read again")
		case !still:
			return unasked{decide.OutcomeInactive, "the subscription was deleted"}
		}
	}
	if kept := t.BlockedBy(time.Now()); kept != nil {
		if t.Sub.Ended != "" || t.Sub.Waits != "" || t.Sub.Epoch != t.Epoch {
			return unasked{decide.OutcomeInactive, kept.Reason}
		}
		return unanswered(kept.Reason)
	}
	if kept := e.openFor(ctx, t); kept != nil {
		return unanswered(kept.Reason)
	}
	if kept := e.authFor(ctx, t); kept != nil {
		return unanswered(kept.Reason)
	}
	if kept := e.probes.Claim(ctx, &t.Target, e.timeoutOf(t)); kept != nil {
		return unanswered(kept.Reason)
	}
	return unasked{}
}

// requestOnce builds, signs and sends a question. The end of the time to answer is a
// timeout; only who asked can interrupt it.
func (e *Engine) requestOnce(ctx context.Context, t *target) *attempt.Attempt {
	d, _ := e.cfg.Dialects.Get(t.Dialect)
	a := attempt.New(&t.Target, time.Now())
	built, err := e.build(ctx, d, t, a)
	if err != nil {
		a.Outcome, a.Error = OutcomeFailed, callbacks.ReasonDialect+callbacks.Brief(err)
		return a
	}
	e.send(ctx, t, built, a)
	if a.Outcome == OutcomeInterrupted && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.TimedOut()
	}
	return a
}

// answered ends the delivery of a question, whatever came of its one request. It is
// never exhausted: that many unanswered questions do not deactivate a subscription
// before its window of failures has passed.
func answered(t *attempt.Target, a *attempt.Attempt) *attempt.Transition {
	tr := t.Unchanged().Used(a)
	tr.State = attempt.StateDelivered
	switch {
	case a.Outcome == OutcomeVetoed:
		tr.Reason = strings.TrimPrefix(a.Error, attempt.ClassVetoed+": ")
	case a.Outcome != OutcomeDelivered:
		tr.State, tr.Reason = attempt.StateCancelled, "a question is asked once"
	}
	return tr
}
