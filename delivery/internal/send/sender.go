package send

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/subscription"
)

// The points at which a crash must lose nothing. Tests kill a process there.
const (
	PointLoading  = "loading"  // a large message is about to be loaded for its request
	PointAnswered = "answered" // the endpoint has answered, nothing is recorded
	PointRecorded = "recorded" // the attempt is recorded, River does not know that its job is done
)

// jobBudget is how long a River job starts new requests; what is left after that is handed
// over to jobs of its own.
const jobBudget = time.Minute

// Sender makes the attempts of deliveries. It is safe for concurrent use.
type Sender struct {
	At            func(point string)
	Heart         *heartbeat.Heart
	Loader        *Loader
	Preflight     *Preflight
	Record        func(ctx context.Context, tr *attempt.Transition) (moved bool, err error) // [record.Recorder.Record]
	Requester     *Requester
	Slots         Slots
	Subscriptions *subscription.Store
}

// Slots bound the requests to each endpoint, and the attempts of fan-outs.
type Slots struct {
	FanOuts  *slots.FanOuts
	Limiter  *slots.Limiter
	Process  *slots.Turns
	Probes   *slots.Probes
	Releaser *slots.Releaser
	ShareOf  func(t *attempt.Target) string // the name of the share of a request
}

// shareOut enters the share of a request.
func (s *Slots) shareOut(in *Input) {
	if in.Share == "" {
		in.Share = s.ShareOf(&in.Target)
	}
}

// Later makes an attempt of a delivery that is loaded now, unless it has moved on to
// another job than by, whose run started at a time.
func (s *Sender) Later(ctx context.Context, by callbacks.JobRef, id uuid.UUID, started time.Time) error {
	in, err := s.Loader.Load(ctx, by, id, nil)
	if err != nil || in == nil {
		return err
	}
	defer in.Payloads.Release()
	return s.attempt(ctx, by, in, started)
}

// left is Later in a job that holds payloads of the intent.
func (s *Sender) left(ctx context.Context, by callbacks.JobRef, held *payloads.Held, id uuid.UUID, started time.Time) error {
	in, err := s.Loader.Load(ctx, by, id, held)
	if err != nil || in == nil {
		return err
	}
	return s.attempt(ctx, by, in, started)
}

// attempt makes an attempt of a delivery in a job whose run started at a time, and records
// what follows.
func (s *Sender) attempt(ctx context.Context, by callbacks.JobRef, in *Input, started time.Time) error {
	if by.Rerun && !in.Ended.Unsent {
		ended, err := s.recordInterrupted(ctx, in)
		if err != nil || ended {
			return err
		}
	}
	in.By = s.Loader.caller(by, in)
	if time.Since(started) > jobBudget {
		return s.record(ctx, in.Postpone(0, ""))
	}
	s.Slots.shareOut(in)
	if tr := s.Preflight.check(ctx, in); tr != nil {
		if tr.Hold != "" {
			s.Slots.Limiter.Blocked(in.EndpointKey())
		}
		return s.record(ctx, tr)
	}
	s.Heart.Await(ctx)
	return s.takeTurn(ctx, in, s.Slots.Limiter.Acquire(ctx, &in.Target))
}

func (s *Sender) record(ctx context.Context, tr *attempt.Transition) error {
	_, err := s.Record(ctx, tr)
	return err
}

// refreshAndAttempt is attempt for an input that is old by the time at which it may queue
// up, after the rest of a fan-out. It is read again before it has a slot: a read in a slot
// keeps others out of that for a round trip.
func (s *Sender) refreshAndAttempt(ctx context.Context, by callbacks.JobRef, in *Input, started time.Time) error {
	switch still, err := s.Requester.Rereader.Refresh(ctx, in); {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return s.record(ctx, s.Preflight.notRead(ctx, in, err))
	case !still: // somebody else has moved it on
		return nil
	}
	return s.attempt(ctx, by, in, started)
}

// takeTurn makes the attempt of an input that has a slot of its endpoint, and holds the
// delivery of one that did not get any.
func (s *Sender) takeTurn(ctx context.Context, in *Input, ok bool) error {
	if !ok {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.record(ctx, in.HoldFor(attempt.HoldSlots, noSlotReason))
	}
	key := in.EndpointKey() // what is read again can name another
	tr := s.attemptInSlot(ctx, in)
	s.Slots.Limiter.Leave(key)
	switch {
	case tr != nil:
	case ctx.Err() != nil: // stopped before the request went out
		return context.Cause(ctx)
	case in.EndpointKey() != key: // the URL is another now, with slots of its own
		return s.takeTurn(ctx, in, s.Slots.Limiter.Acquire(ctx, &in.Target))
	default: // somebody else has moved it on
		return s.Slots.Releaser.Next(ctx, in.Share, key)
	}
	err := s.record(ctx, s.spare(ctx, tr))
	s.Slots.Limiter.Recorded(tr)
	s.At(PointRecorded)
	return errors.Join(err, s.Slots.Releaser.Next(ctx, in.Share, key))
}

// What is recorded of a delivery that got no slot of its endpoint, or of the process.
const (
	noSlotReason = "the endpoint has as many requests in flight as it may have"
	noTurnReason = "its share has as many requests in flight as it may have"
)

// spare lets a delivery go on that a URL has ended which is not in force any more: it has
// its chance at the new one.
func (s *Sender) spare(ctx context.Context, tr *attempt.Transition) *attempt.Transition {
	t, a := tr.Target, tr.Attempt
	if a == nil || tr.State != attempt.StateExhausted && a.Outcome != attempt.OutcomeGone {
		return tr
	}
	sub, err := s.Subscriptions.Get(context.WithoutCancel(ctx), t.Sub.ID)
	if err != nil || sub.URLVersion == t.Sub.URLVersion { // one that was deleted has no chance
		return tr
	}
	return t.Postpone(attempt.ChangedWait, credentials.ErrChanged.Error()).Used(a)
}

// attemptInSlot makes the request of a delivery that has a slot of its endpoint, as soon as
// there is one of the process, and holds it if that will not be soon. No request goes out
// whose answer could not be recorded. It returns nil if the engine stopped before that, if
// the delivery was moved on by somebody else, and if the slot is of another URL than the
// input has by then.
func (s *Sender) attemptInSlot(ctx context.Context, in *Input) *attempt.Transition {
	turn, ok := s.Slots.Process.Acquire(ctx, slots.Share{Name: in.Share})
	if !ok {
		if ctx.Err() != nil {
			return nil
		}
		s.Slots.Limiter.Held(&in.Target)
		return in.HoldFor(attempt.HoldSlots, noTurnReason)
	}
	defer turn.Leave()
	if !s.Heart.Await(ctx) {
		return nil
	}
	slot := in.EndpointKey()
	for range MaxRereads {
		if tr, overtaken := s.attemptAsRead(ctx, in, slot); !overtaken {
			return tr
		}
		in.ReadAt = time.Time{}
	}
	return in.Postpone(attempt.ChangedWait, ErrOvertaken.Error())
}

// attemptAsRead makes the request of a delivery, after reading it again if it has waited for
// long. It returns overtaken if the delivery or its subscription changed before the request
// went out.
func (s *Sender) attemptAsRead(ctx context.Context, in *Input, slot attempt.EndpointKey) (tr *attempt.Transition, overtaken bool) {
	if s.Requester.Rereader.IsOld(in) {
		switch still, err := s.Requester.Rereader.Refresh(ctx, in); {
		case err != nil && ctx.Err() != nil:
			return nil, false
		case err != nil:
			return s.Preflight.notRead(ctx, in, err), false
		case !still || in.EndpointKey() != slot:
			return nil, false
		}
	}
	if tr := s.Preflight.check(ctx, in); tr != nil {
		return tr, false
	}
	if tr := s.Preflight.openEndpoint(ctx, in); tr != nil {
		return tr, false
	}
	if tr := s.loadBody(ctx, in); tr != nil {
		return tr, false
	}
	lease, tr, err := s.Preflight.Rates.Take(ctx, &in.Target)
	if tr != nil || err != nil {
		return tr, false
	}
	if tr := s.Slots.Probes.Claim(ctx, &in.Target, s.Requester.Timeout.of(in)); tr != nil {
		lease.Return()
		return tr, false
	}
	if tr, overtaken = s.request(ctx, in); tr == nil || tr.Attempt == nil || tr.Attempt.Method == "" {
		lease.Return()
	}
	if tr != nil && tr.Attempt != nil {
		s.At(PointAnswered)
		s.Slots.Limiter.Update(tr)
	}
	return tr, overtaken
}

// loadBody loads the body of a message that is too large to wait with its delivery.
func (s *Sender) loadBody(ctx context.Context, in *Input) *attempt.Transition {
	if !in.BodyLater {
		return nil
	}
	s.At(PointLoading)
	body, err := in.Payloads.Get(ctx, in.Dialect)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // request sends nothing
	case err != nil:
		return s.Preflight.notLoaded(ctx, in, err)
	}
	in.Message.Body = body
	in.BodyLater = false
	in.MessageGone = body == nil
	return in.BlockedBy(time.Now())
}

// request builds, signs and sends one attempt, and works out what follows. It returns nil
// if the engine stopped before the request went out, and overtaken if what it was made from
// has changed by then.
func (s *Sender) request(ctx context.Context, in *Input) (tr *attempt.Transition, overtaken bool) {
	if !in.Opened || in.BodyLater {
		return nil, false
	}
	schedule, _, _ := s.Preflight.Schedules.of(in)
	d, _ := s.Preflight.Schedules.Dialects.Get(in.Dialect)
	a := attempt.New(&in.Target, time.Now())
	built, err := s.Requester.Sign(ctx, d, in, a)
	if tr := in.NotCalled(err); tr != nil {
		return tr, false
	}
	if err != nil {
		a.Outcome, a.Error = attempt.OutcomeFailed, callbacks.ReasonDialect+callbacks.Brief(err)
		return in.Failed(a, schedule, s.Preflight.Schedules.Random), false
	}
	if ctx.Err() != nil {
		return nil, false
	}
	header, _ := s.Requester.Send(ctx, in, built, a)
	if a.Overtaken {
		return nil, ctx.Err() == nil
	}
	if a.Outcome == attempt.OutcomeInterrupted && ctx.Err() == nil {
		a.Outcome = attempt.OutcomeUnreachable
	}
	if a.Outcome == attempt.OutcomeInterrupted && errors.Is(context.Cause(ctx), river.ErrJobCancelledRemotely) {
		tr := in.Cancel("its River job was cancelled")
		tr.Attempt = a
		return tr, false
	}
	tr = in.After(a, schedule, s.Preflight.Schedules.Random)
	if tr.State == attempt.StateDelivered && attempt.IsVeto(a.Status, header) {
		tr.Reason = attempt.LateVetoReason
		s.Preflight.Log.LogAttrs(ctx, slog.LevelWarn, "riverhook: veto ignored", slog.Any("delivery", in.ID), slog.String("intent", in.Event.ID),
			slog.Any("subscription", in.Sub.ID), slog.String("reason", attempt.LateVetoReason))
	}
	return tr, false
}

// recordInterrupted records, before a delivery is tried again, that the earlier run of its
// job may have sent it: a delivery that kills its engine each time must come to an end too.
func (s *Sender) recordInterrupted(ctx context.Context, in *Input) (ended bool, err error) {
	schedule, _, ok := s.Preflight.Schedules.of(in)
	if !ok {
		return false, nil
	}
	a := attempt.New(&in.Target, time.Now())
	a.Outcome, a.Error = attempt.OutcomeInterrupted, "the engine ended before the answer was recorded"
	tr := in.InterruptedBy(a, schedule, s.Preflight.Schedules.Random)
	tr.Stay = tr.State == attempt.StatePending && !tr.Again
	if recorded, err := s.Record(ctx, tr); err != nil || !recorded {
		return true, err
	}
	in.Seq++
	in.Ended.Unsent = true
	in.Interrupted = tr.Interrupted
	in.Attempts = tr.Attempts
	in.Manual = in.Manual && tr.Attempts == 0
	return !tr.Stay, nil
}
