package delivery

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
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

// claimProbe makes a delivery the one probe of its endpoint, over all engines, if the
// circuit is not closed. It is called right before the request. What it returns
// keeps the delivery back: also one that was read, and has waited for its slot, before
// the circuit opened.
func (e *Engine) claimProbe(ctx context.Context, t *target) *attempt.Transition {
	if !t.Trial {
		if !t.AtOnce && e.endpoints.turnedSince(t.EndpointKey(), t.ReadAt) {
			return t.HeldByCircuit()
		}
		return nil
	}
	rows, err := e.frequent.ClaimProbe(ctx, &store.ClaimProbeParams{
		SubscriptionID: t.Sub.ID,
		Epoch:          t.Epoch,
		URLVersion:     t.Sub.URLVersion,
		ID:             t.ID,
		AtOnce:         t.AtOnce,
		Retry:          t.IsRetry(),
		LeaseMs:        (e.timeoutOf(t) + probeMargin).Milliseconds(),
	})
	switch {
	case err != nil:
		return t.Postpone(attempt.ChangedWait, "its circuit could not be read")
	case len(rows) == 0: // it has been closed meanwhile
		t.Trial = false
		t.Probe = false
		t.CircuitOpened = 0
		return nil
	case !rows[0].Claimed:
		t.Probe = false
		return t.HeldByCircuit()
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
func (e *Engine) judgeEndpoint(tr *attempt.Transition) {
	t, a := tr.Target, tr.Attempt
	if a.Outcome == OutcomeProxyFailed || a.Unanswered && !t.Probe {
		return
	}
	opens := e.endpoints.learn(t.EndpointKey(), a.Outcome, a.Duration, e.now())
	if t.Probe && attempt.IsEndpointFailure(a.Outcome) {
		opens = true // it was on trial
	}
	if opens {
		tr.Pause = pauseAfter(t.CircuitOpened, e.random)
	}
	if tr.Asked = a.Asked; tr.StopsEndpoint() {
		e.endpoints.turn(t.EndpointKey(), time.Now().Add(writeTimeout))
	}
}

// pauseAfter is the pause of a circuit that has opened so many times before.
func pauseAfter(opened int, rnd func() float64) time.Duration {
	pause := min(circuitPause<<min(opened, 20), maxCircuitPause)
	return time.Duration(float64(pause) * (1 + circuitJitter*(2*rnd()-1)))
}
