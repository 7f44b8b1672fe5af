package delivery

import (
	"fmt"
	"time"

	"github.com/riverhook/riverhook/hierarchy"
)

// The states of an intent that the engine asks for.
const intentPending = "pending"

// The states of a delivery.
const (
	statePending   = "pending"
	stateDelivered = "delivered"
	stateExhausted = "exhausted"
	stateCancelled = "cancelled"
	stateExpired   = "expired"
)

const (
	// wiringWait is the wait for a process that has what this one lacks.
	wiringWait = 10 * time.Second

	// changedWait is the wait of a delivery whose subscription was changed after it
	// was loaded.
	changedWait = time.Second

	// undecidedWait is the wait after a checker failed before a later attempt.
	undecidedWait = 30 * time.Second

	// maxInterrupted is how many attempts in a row may be interrupted before
	// one of them counts as failed, so that a delivery that kills its engine
	// comes to an end.
	maxInterrupted = 3
)

// transition moves a delivery on, with the attempt that led to it if there was
// one.
type transition struct {
	Target      *target
	State       string
	Hold        string
	Reason      string
	Attempts    int
	Interrupted int
	Wait        time.Duration // until it is due again
	Again       bool          // a new River job takes it up when it is due
	Stay        bool          // the River job that carries it goes on with it
	Attempt     *attempt
	Asked       time.Duration // nothing goes to the endpoint for so long, as it asks for
	Pause       time.Duration // its circuit opens for so long

	recovered *SubscriptionEvent // it was warned of a window that this ended; set as it is recorded
}

// attempt is one request and what came back, as it is recorded.
type attempt struct {
	Number            int
	Manual            bool
	Outcome           Outcome
	Error             string
	Reason            string  // for the operator alone
	Veto              *string // what a gate said that vetoed; nil: it did not. Not recorded as such
	Method            string  // "": no request was built
	Status            int
	ReasonPhrase      string // of the status line, fit to be shown
	URL               string
	RequestHeaders    string
	ResponseHeaders   string
	ResponseBody      []byte
	ResponseSHA256    []byte
	ResponseTruncated bool
	RetryAfter        time.Duration
	Asked             time.Duration // RetryAfter, or what stands for it where the endpoint is throttled; not recorded
	Duration          time.Duration
	Repeats           int  // how often it was sent again because it was certainly not processed
	Unanswered        bool // it may have been processed: something was written, and nothing read
	StartedAt         time.Time
	Overtaken         bool // no request was made: what it was made from has changed

	answer *answer // for the hook; nil where there is none
}

// keep is a transition that changes nothing but the fence.
func (t *target) keep() *transition {
	return &transition{
		Target:      t,
		State:       statePending,
		Attempts:    t.Attempts,
		Interrupted: t.Interrupted,
	}
}

// cancel ends the delivery without a failure of the endpoint.
func (t *target) cancel(reason string) *transition {
	tr := t.keep()
	tr.State, tr.Reason = stateCancelled, reason
	return tr
}

// hold lets the delivery wait, without a River job, for what its hold names.
func (t *target) hold(hold, reason string) *transition {
	tr := t.keep()
	tr.Hold, tr.Reason = hold, reason
	return tr
}

// postpone lets another River job try later; no attempt is used.
func (t *target) postpone(wait time.Duration, reason string) *transition {
	tr := t.keep()
	tr.Again = true
	tr.Wait = wait
	tr.Reason = reason
	return tr
}

// number is that of the next attempt: manual ones are counted by rounds, the
// automatic ones of a round from 1. Every round but the first begins with a manual
// one, which Attempts counts as well.
func (t *target) number() int {
	switch {
	case t.Manual:
		return t.Round - 1
	case t.Round > 1:
		return t.Attempts
	default:
		return t.Attempts + 1
	}
}

// interrupted records that a request may have gone out whose answer nobody has
// seen. The third in a row counts as a failed attempt.
func (t *target) interruptedBy(a *attempt, s Schedule, rnd func() float64) *transition {
	if t.Interrupted+1 < maxInterrupted {
		tr := t.keep()
		tr.Interrupted, tr.Attempt = t.Interrupted+1, a
		return tr
	}
	return t.failed(a, s, rnd)
}

// failed uses up one attempt of the schedule.
func (t *target) failed(a *attempt, s Schedule, rnd func() float64) *transition {
	tr := t.keep()
	tr.Attempt = a
	tr.Interrupted = 0
	tr.Attempts = t.Attempts + 1
	wait, more := s.next(tr.Attempts, rnd)
	if !more {
		tr.State = stateExhausted
		tr.Reason = fmt.Sprintf("all %d attempts of the schedule have failed", tr.Attempts)
		if tr.Attempts == 1 {
			tr.Reason = "the only attempt of the schedule has failed"
		}
		return tr
	}
	tr.Again, tr.Wait = true, max(wait, a.Asked)
	return tr
}

// after is what follows from an attempt that was answered, or was not.
func (t *target) after(a *attempt, s Schedule, rnd func() float64) *transition {
	switch a.Outcome {
	case OutcomeDelivered:
		tr := t.keep()
		tr.Attempt = a
		tr.Interrupted = 0
		tr.Attempts = t.Attempts + 1
		tr.State = stateDelivered
		return tr
	case OutcomeGone:
		tr := t.cancel("the endpoint answered 410 Gone")
		tr.Attempt = a
		tr.Interrupted = 0
		tr.Attempts = t.Attempts + 1
		return tr
	case OutcomeInterrupted:
		tr := t.interruptedBy(a, s, rnd)
		tr.Again = tr.State == statePending
		return tr
	default:
		return t.failed(a, s, rnd)
	}
}

// subscriptionGate is what the state of the subscription says of a delivery;
// nil lets it pass.
func (t *target) subscriptionGate(now time.Time) *transition {
	switch {
	case t.MessageGone:
		return t.cancel("its message is not there any more")
	case t.Sub.DeletedAt != nil:
		return t.cancel("the subscription was deleted")
	case t.Sub.State == hierarchy.StateDeactivated:
		return t.cancel(inactiveReason(t.Sub))
	case t.Sub.Epoch != t.Epoch:
		return t.cancel("the subscription was deactivated meanwhile")
	case t.Sub.State == hierarchy.StatePaused:
		return t.hold(holdPaused, "the subscription is paused")
	case t.Sub.State == hierarchy.StatePendingVerification:
		return t.hold(holdPaused, inactiveReason(t.Sub))
	case t.Gone:
		return t.postpone(undecidedWait, "the endpoint answered 410 Gone")
	default:
		return t.circuitGate(now)
	}
}
