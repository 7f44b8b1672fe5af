package send

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/slots"
)

// Unasked is why no request was made to a gate; the zero Unasked means that one was made.
type Unasked struct {
	Inactive bool // its subscription is not in force any more, so its answer does not count
	Reason   string
}

func unasked(reason string) Unasked { return Unasked{Reason: reason} }

const lateReason = "the time to answer was over before it could be asked"

// Ask makes the one request of a question to a gate, whose delivery is not recorded yet, by
// the end of ctx. It returns the transition to record, or why it made no request.
func (s *Sender) Ask(ctx context.Context, in *Input) (*attempt.Transition, Unasked) {
	if tr := in.BlockedBy(time.Now()); tr != nil {
		return nil, unasked(tr.Reason)
	}
	if tr := s.Preflight.openSecrets(ctx, in); tr != nil {
		return nil, unasked(tr.Reason)
	}
	s.Slots.shareOut(in)
	for {
		key := in.EndpointKey()
		if !s.Slots.Limiter.Acquire(ctx, &in.Target) {
			if ctx.Err() != nil {
				return nil, unasked(lateReason)
			}
			return nil, unasked(noSlotReason)
		}
		tr, why := s.askInSlot(ctx, in, key)
		if tr != nil || why.Reason != "" {
			return tr, why
		}
	}
}

// askInSlot makes the request in a slot of an endpoint, and gives that back. It returns
// nothing if what was read again names another endpoint.
func (s *Sender) askInSlot(ctx context.Context, in *Input, slot attempt.EndpointKey) (*attempt.Transition, Unasked) {
	defer s.Slots.Limiter.Leave(slot)
	turn, ok := s.Slots.Process.Await(ctx, slots.Share{Name: in.Share, Urgent: true})
	if !ok {
		return nil, unasked(lateReason)
	}
	defer turn.Leave()
	for range MaxRereads {
		if why := s.checkGate(ctx, in); ctx.Err() != nil {
			return nil, unasked(lateReason)
		} else if why.Reason != "" {
			return nil, why
		}
		if in.EndpointKey() != slot {
			return nil, Unasked{}
		}
		if a := s.askOnce(ctx, in); !a.Overtaken {
			tr := answered(&in.Target, a)
			s.Slots.Limiter.Update(tr)
			return tr, Unasked{}
		}
		in.ReadAt = time.Time{}
	}
	return nil, unasked(ErrOvertaken.Error())
}

// checkGate says why a gate is not asked, after reading it again if it has waited for long.
// If the gate can be asked, it opens the secrets and credentials of the request.
func (s *Sender) checkGate(ctx context.Context, in *Input) Unasked {
	if s.Requester.Rereader.IsOld(in) {
		switch still, err := s.Requester.Rereader.Refresh(ctx, in); {
		case err != nil:
			s.Preflight.Log.WarnContext(ctx, "riverhook: a gate is not asked", "intent", in.Event.ID, "subscription", in.Sub.ID, "error", err)
			return unasked("its subscription could not be read again")
		case !still:
			return Unasked{Inactive: true, Reason: "the subscription was deleted"}
		}
	}
	if tr := in.BlockedBy(time.Now()); tr != nil {
		inactive := in.Sub.Ended != "" || in.Sub.Waits != "" || in.Sub.Epoch != in.Epoch
		return Unasked{Inactive: inactive, Reason: tr.Reason}
	}
	if tr := s.Preflight.openSecrets(ctx, in); tr != nil {
		return unasked(tr.Reason)
	}
	if tr := s.Preflight.openEndpoint(ctx, in); tr != nil {
		return unasked(tr.Reason)
	}
	if tr := s.Slots.Probes.Claim(ctx, &in.Target, s.Requester.Timeout.of(in)); tr != nil {
		return unasked(tr.Reason)
	}
	return Unasked{}
}

// askOnce builds, signs and sends a question. The end of the time to answer is a timeout;
// only the application that asks can interrupt it.
func (s *Sender) askOnce(ctx context.Context, in *Input) *attempt.Attempt {
	d, _ := s.Preflight.Schedules.Dialects.Get(in.Dialect)
	a := attempt.New(&in.Target, time.Now())
	built, err := s.Requester.Sign(ctx, d, in, a)
	if err != nil {
		a.Outcome, a.Error = attempt.OutcomeFailed, callbacks.ReasonDialect+callbacks.Brief(err)
		return a
	}
	s.Requester.Send(ctx, in, built, a)
	if a.Outcome == attempt.OutcomeInterrupted && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.TimedOut()
	}
	return a
}

// answered ends the delivery of a question, whatever came of its one request. It is never
// exhausted: so many unanswered questions do not deactivate a subscription before its
// window of failures has passed.
func answered(t *attempt.Target, a *attempt.Attempt) *attempt.Transition {
	tr := t.Unchanged().Used(a)
	tr.State = attempt.StateDelivered
	switch {
	case a.Outcome == attempt.OutcomeVetoed:
		tr.Reason = strings.TrimPrefix(a.Error, attempt.ClassVetoed+": ")
	case a.Outcome != attempt.OutcomeDelivered:
		tr.State, tr.Reason = attempt.StateCancelled, "a question is asked once"
	}
	return tr
}
