package attempt

import "time"

// The waits of deliveries that cannot be attempted now.
const (
	// ChangedWait is the wait of a delivery whose subscription was changed after it
	// was loaded.
	ChangedWait = time.Second

	// GoneWait is the wait of a delivery whose endpoint has answered 410, until its
	// subscription is deactivated.
	GoneWait = 30 * time.Second
)

// Transition moves a delivery to its next state, with the attempt that led to it if there
// was one.
type Transition struct {
	Target      *Target
	State       State
	Hold        Hold
	Cause       Cause // of HoldCause
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

// HoldForCause lets the delivery wait, without a River job, until a cause is over.
func (t *Target) HoldForCause(cause Cause, reason string) *Transition {
	tr := t.HoldFor(HoldCause, reason)
	tr.Cause = cause
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

// StopsEndpoint is true of a transition after which the endpoint gets nothing for a while.
func (tr *Transition) StopsEndpoint() bool { return tr.Asked > 0 || tr.Pause > 0 }

// EndsProbe is true where the delivery was to try its endpoint and does not any more.
func (tr *Transition) EndsProbe() bool { return tr.Target.Probe && !tr.Stay }
