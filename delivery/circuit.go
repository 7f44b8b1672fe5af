package delivery

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// The pause of a circuit doubles each time that it opens without a success
// between, jittered so that endpoints that failed together are not probed
// together.
const (
	circuitPause    = 5 * time.Second
	maxCircuitPause = 10 * time.Minute
	circuitJitter   = 0.2
)

// probeMargin is how much longer than its request may take a probe keeps others
// away, so that its answer can be recorded.
const probeMargin = 2 * writeTimeout

// circuitGate is what the circuit of its endpoint says of a delivery; nil lets it
// pass, for now: where the circuit is not closed the delivery has to be its probe,
// which claimProbe decides.
//
// A wait that the endpoint has asked for lets nothing through. The pause of a circuit
// that failures opened lets retries through, one at a time, so that a delivery alone
// at its endpoint keeps its schedule. Neither keeps back what a person wants at once.
func (t *target) circuitGate(now time.Time) *transition {
	switch {
	case t.AtOnce:
		return nil
	case t.AskedUntil.After(now):
		return t.hold(holdCircuit, "the endpoint asked to wait")
	case t.Probe:
		return nil
	case t.Probed, t.CircuitUntil.After(now) && !t.isRetry():
		return t.heldByCircuit()
	default:
		return nil
	}
}

func (t *target) heldByCircuit() *transition { return t.hold(holdCircuit, "the endpoint is failing") }

// isRetry is whether the delivery has failed before in its round.
func (t *target) isRetry() bool { return t.Attempts > 0 }

// claimProbe makes a delivery the one probe of its endpoint, over all engines, if the
// circuit is not closed. It is called right before the request. What it returns
// keeps the delivery back: also one that was read, and has waited for its slot, before
// the circuit opened.
func (e *Engine) claimProbe(ctx context.Context, t *target) *transition {
	if !t.Trial {
		if !t.AtOnce && e.endpoints.turnedSince(t.endpoint(), t.ReadAt) {
			return t.heldByCircuit()
		}
		return nil
	}
	rows, err := e.frequent.ClaimProbe(ctx, &store.ClaimProbeParams{
		SubscriptionID: t.Sub.ID,
		Epoch:          t.Epoch,
		URLVersion:     t.Sub.URLVersion,
		ID:             t.ID,
		AtOnce:         t.AtOnce,
		Retry:          t.isRetry(),
		LeaseMs:        (e.timeoutOf(t) + probeMargin).Milliseconds(),
	})
	switch {
	case err != nil:
		return t.postpone(changedWait, "its circuit could not be read")
	case len(rows) == 0: // it has been closed meanwhile
		t.Trial = false
		t.Probe = false
		t.CircuitOpened = 0
		return nil
	case !rows[0].Claimed:
		t.Probe = false
		return t.heldByCircuit()
	default:
		t.Probe, t.CircuitOpened = true, rows[0].CircuitOpened
		return nil
	}
}

// judgeEndpoint takes in what an attempt says of its endpoint, and lets the
// transition open the circuit where that follows. What opened is written in the
// transition's commit, so it holds in every engine and outlives this one. A request
// that was written and not answered opens none, however often: servers close
// connections that are in use. It fails a trial.
func (e *Engine) judgeEndpoint(tr *transition) {
	t, a := tr.Target, tr.Attempt
	if a.Outcome == OutcomeProxyFailed || a.Unanswered && !t.Probe {
		return
	}
	opens := e.endpoints.learn(t.endpoint(), a.Outcome, a.Duration, e.now())
	if t.Probe && isEndpointFailure(a.Outcome) {
		opens = true // it was on trial
	}
	if opens {
		tr.Pause = pauseAfter(t.CircuitOpened, e.random)
	}
	if tr.Asked = a.Asked; tr.turns() {
		e.endpoints.turn(t.endpoint(), time.Now().Add(writeTimeout))
	}
}

// turns is whether the endpoint is to get nothing for a while.
func (tr *transition) turns() bool { return tr.Asked > 0 || tr.Pause > 0 }

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
