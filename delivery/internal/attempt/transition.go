package attempt

import (
	"time"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// The waits of deliveries that cannot be attempted now.
const (
	// MissingWait is the wait for a process that has what this one lacks.
	MissingWait = 10 * time.Second

	// ChangedWait is the wait of a delivery whose subscription was changed after it
	// was loaded.
	ChangedWait = time.Second

	// UndecidedWait is the wait after a checker failed before a later attempt.
	UndecidedWait = 30 * time.Second
)

// uncalledWait is the wait of a delivery whose step of host code could not be recorded.
const uncalledWait = time.Second

// Transition moves a delivery to its next state, with the attempt that led to it if there
// was one.
type Transition struct {
	Target      *Target
	State       State
	Hold        Hold
	Reason      string
	Attempts    int
	Interrupted int
	Wait        time.Duration // until it is due again
	Again       bool          // a new River job takes it up when it is due
	Stay        bool          // its present River job goes on with it
	Attempt     *Attempt
	Asked       time.Duration // nothing goes to the endpoint for so long, as it asks for
	Pause       time.Duration // the circuit of the endpoint opens for so long

	Recovered *Recovery // set when it is recorded
}

// Recovery is the end of a window of failures of which the owner was warned.
type Recovery struct {
	Epoch          int
	FailedAttempts int
	FailingSince   time.Time // zero: not known
}

// Unchanged changes nothing but the fence.
func (t *Target) Unchanged() *Transition {
	return &Transition{
		Target:      t,
		State:       StatePending,
		Attempts:    t.Attempts,
		Interrupted: t.Interrupted,
	}
}

// Cancel ends the delivery without a failure of the endpoint.
func (t *Target) Cancel(reason string) *Transition {
	tr := t.Unchanged()
	tr.State, tr.Reason = StateCancelled, reason
	return tr
}

// HoldFor lets the delivery wait, without a River job, for what its hold names.
func (t *Target) HoldFor(hold Hold, reason string) *Transition {
	tr := t.Unchanged()
	tr.Hold, tr.Reason = hold, reason
	return tr
}

// Postpone lets another River job try later; no attempt is used.
func (t *Target) Postpone(wait time.Duration, reason string) *Transition {
	tr := t.Unchanged()
	tr.Again = true
	tr.Wait = wait
	tr.Reason = reason
	return tr
}

// Used counts an attempt that the transition does not end by: the delivery goes on by
// its own rules.
func (tr *Transition) Used(a *Attempt) *Transition {
	tr.Attempt = a
	tr.Interrupted = 0
	tr.Attempts = tr.Target.Attempts + 1
	return tr
}

// After follows from an attempt that was answered, or was not.
func (t *Target) After(a *Attempt, s Schedule, rnd func() float64) *Transition {
	switch a.Outcome {
	case OutcomeDelivered:
		tr := t.Unchanged().Used(a)
		tr.State = StateDelivered
		return tr
	case OutcomeGone:
		return t.Cancel("the endpoint answered 410 Gone").Used(a)
	case OutcomeInterrupted:
		tr := t.InterruptedBy(a, s, rnd)
		tr.Again = tr.State == StatePending
		return tr
	default:
		return t.Failed(a, s, rnd)
	}
}

// BlockedBy is what the state of the subscription, and then the circuit of its endpoint,
// make of a delivery that is to be attempted now; nil lets it pass.
func (t *Target) BlockedBy(now time.Time) *Transition {
	switch {
	case t.MessageGone:
		return t.Cancel("its message is not there any more")
	case t.Sub.Ended != "":
		return t.Cancel(t.Sub.Ended)
	case t.Sub.Epoch != t.Epoch:
		return t.Cancel("the subscription was deactivated meanwhile")
	case t.Sub.Waits != "":
		return t.HoldFor(HoldPaused, t.Sub.Waits)
	case t.Gone:
		return t.Postpone(UndecidedWait, "the endpoint answered 410 Gone")
	default:
		return t.blockedByCircuit(now)
	}
}

// blockedByCircuit lets a delivery pass for now where the circuit is not closed: the
// delivery has to be its probe, which is decided right before the request.
//
// A wait that the endpoint has asked for lets nothing through. The pause of a circuit
// that failures opened lets retries through, one at a time, so that a delivery alone
// at its endpoint keeps its schedule. Neither holds what a person wants at once.
func (t *Target) blockedByCircuit(now time.Time) *Transition {
	switch {
	case t.AtOnce:
		return nil
	case t.AskedUntil.After(now):
		return t.HoldFor(HoldCircuit, "the endpoint asked to wait")
	case t.Probe:
		return nil
	case t.Probed, t.CircuitUntil.After(now) && !t.IsRetry():
		return t.HeldByCircuit()
	default:
		return nil
	}
}

// HeldByCircuit holds the delivery until the circuit of its endpoint lets it pass.
func (t *Target) HeldByCircuit() *Transition {
	return t.HoldFor(HoldCircuit, "the endpoint is failing")
}

// NotCalled is what becomes of a delivery whose host code was not called, or whose call
// does not count; nil if err is another one.
func (t *Target) NotCalled(err error) *Transition {
	switch {
	case callbacks.IsEnded(err):
		return t.Cancel(err.Error())
	case callbacks.IsStall(err):
		return t.Postpone(uncalledWait, "its step could not be recorded")
	default:
		return nil
	}
}

// StopsEndpoint is true of a transition after which the endpoint gets nothing for a while.
func (tr *Transition) StopsEndpoint() bool { return tr.Asked > 0 || tr.Pause > 0 }

// EndsProbe is true where the delivery was to try its endpoint and does not any more.
func (tr *Transition) EndsProbe() bool { return tr.Target.Probe && !tr.Stay }
