package delivery

import "time"

// The pause of a circuit doubles each time that it opens without a success
// between, jittered so that endpoints that failed together are not probed
// together.
const (
	circuitPause    = 5 * time.Second
	maxCircuitPause = 10 * time.Minute
	circuitJitter   = 0.2
)

// judgeEndpoint takes in what an attempt says of its endpoint, and lets the
// transition open the circuit where that follows. What opened is written in the
// transition's commit, so it holds in every engine and outlives this one. A request
// that was written and not answered opens none, however often: servers close
// connections that are in use. It fails a trial.
func (e *Engine) judgeEndpoint(tr *transition) {
	t, a := tr.Target, tr.Attempt
	if a.Outcome == OutcomeProxyFailed || a.Unanswered && t.CircuitOpened == 0 {
		return
	}
	opens := e.endpoints.learn(t.Sub.ID, a.Outcome, a.Duration, time.Now())
	if t.CircuitOpened > 0 && isEndpointFailure(a.Outcome) {
		opens = true // it was on trial
	}
	if opens {
		tr.Opens = true
		tr.Pause = pauseAfter(t.CircuitOpened, e.random)
	}
	tr.Pause = max(tr.Pause, a.RetryAfter)
}

// pauseAfter is the pause of a circuit that has opened so many times before.
func pauseAfter(opened int, rnd func() float64) time.Duration {
	pause := min(circuitPause<<min(opened, 20), maxCircuitPause)
	return time.Duration(float64(pause) * (1 + circuitJitter*(2*rnd()-1)))
}

// saysOfEndpoint is false of what ended an attempt on our side.
func saysOfEndpoint(o Outcome) bool {
	return o != OutcomeInterrupted && o != OutcomeProxyFailed
}

// isEndpointFailure is true of what speaks against the endpoint as a whole. A
// request that it understands and refuses does not.
func isEndpointFailure(o Outcome) bool {
	switch o {
	case OutcomeFailed, OutcomeThrottled, OutcomeTimeout, OutcomeUnreachable:
		return true
	default:
		return false
	}
}
