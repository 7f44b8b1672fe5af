package attempt

import (
	"fmt"
	"time"
)

// maxInterrupted is how many attempts in a row may be interrupted before one of them
// counts as failed, so that a delivery that kills its engine comes to an end.
const maxInterrupted = 3

// Schedule says when a failed attempt is repeated: Delays[i] is the wait after failed
// attempt i+1, which Jitter (0 to 1) spreads evenly over delay*(1-Jitter) to
// delay*(1+Jitter). Package delivery checks and documents it.
type Schedule struct {
	Delays []time.Duration
	Jitter float64
}

// Next is the wait after failed attempt n, counted from 1; false when the schedule is
// exhausted. rnd returns an even number in [0, 1).
func (s Schedule) Next(n int, rnd func() float64) (time.Duration, bool) {
	if n < 1 || n > len(s.Delays) {
		return 0, false
	}
	delay := s.Delays[n-1]
	if s.Jitter == 0 {
		return delay, true
	}
	return time.Duration(float64(delay) * (1 + s.Jitter*(2*rnd()-1))), true
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

// InterruptedBy follows from a request that may have gone out whose answer nobody has
// seen. The third in a row counts as a failed attempt.
func (t *Target) InterruptedBy(a *Attempt, s Schedule, rnd func() float64) *Transition {
	if t.Interrupted+1 < maxInterrupted {
		tr := t.Unchanged()
		tr.Interrupted, tr.Attempt = t.Interrupted+1, a
		return tr
	}
	return t.Failed(a, s, rnd)
}

// Failed uses up one attempt of the schedule. The next one is due after [Attempt.NotBefore]. The
// record of the transition makes its River job (statement RecordAttempts). After the last
// attempt the delivery is exhausted.
func (t *Target) Failed(a *Attempt, s Schedule, rnd func() float64) *Transition {
	tr := t.Unchanged().Used(a)
	wait, more := s.Next(tr.Attempts, rnd)
	if !more {
		tr.State = StateExhausted
		tr.Reason = fmt.Sprintf("all %d attempts of the schedule have failed", tr.Attempts)
		if tr.Attempts == 1 {
			tr.Reason = "the only attempt of the schedule has failed"
		}
		return tr
	}
	tr.Again, tr.Wait = true, a.NotBefore(wait)
	return tr
}
