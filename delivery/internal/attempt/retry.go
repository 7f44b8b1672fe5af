package attempt

import "fmt"

// maxInterrupted is how many attempts in a row may be interrupted before one of them
// counts as failed, so that a delivery that kills its engine comes to an end.
const maxInterrupted = 3

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

// Failed uses up one attempt of the schedule. The next one is due after the wait of the
// schedule, or after the longer one that the endpoint has asked for (see [RetryAfter]). The
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
	tr.Again, tr.Wait = true, max(wait, a.Asked)
	return tr
}
