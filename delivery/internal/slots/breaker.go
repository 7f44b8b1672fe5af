package slots

import (
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// What opens the circuit of an endpoint, and for how long. A circuit opens after
//
//   - failuresInRow failures without a success between them;
//   - at least half of at least windowSample attempts in failureWindow have failed;
//   - a probe has failed, which is an attempt while the circuit is not closed;
//
// a failure being an outcome for which [attempt.IsEndpointFailure] is true. A wait that the
// endpoint asks for (see [attempt.RetryAfter]) stops the endpoint too, without opening its
// circuit. Failures of the proxy count for nothing. A request that was written and not
// answered opens no circuit, however often: servers close connections that are in use; it
// fails a probe.
//
// The pause doubles each time that the circuit opens without a success between, and is
// jittered so that endpoints that failed together are not probed together.
const (
	failuresInRow = 5
	windowSample  = 20
	failureWindow = 30 * time.Second

	pause       = 5 * time.Second
	maxPause    = 10 * time.Minute
	pauseJitter = 0.2
)

// recordTime is how long the record of a transition takes at most, after which every
// process reads that the endpoint gets nothing for now.
const recordTime = 30 * time.Second

// breaker counts the failures of one endpoint since its circuit opened last.
type breaker struct {
	failures    int // in a row
	windowStart time.Time
	windowAll   int
	windowBad   int

	// stopped is when it was last recorded that the endpoint gets nothing for a while,
	// or the time by which it will be. What was read before does not know of it.
	stopped time.Time
}

func (b *breaker) idle() bool { return b.failures == 0 && b.windowBad == 0 && b.stopped.IsZero() }

// begin counts an attempt in the window of now.
func (b *breaker) begin(now time.Time) {
	if now.Sub(b.windowStart) > failureWindow {
		b.windowStart = now
		b.windowAll = 0
		b.windowBad = 0
	}
	b.windowAll++
}

// succeed ends a row of failures.
func (b *breaker) succeed() { b.failures, b.stopped = 0, time.Time{} }

// fail counts a failure. It returns whether the circuit opens.
func (b *breaker) fail() (opens bool) {
	b.failures++
	b.windowBad++
	if b.failures < failuresInRow && (b.windowAll < windowSample || 2*b.windowBad < b.windowAll) {
		return false
	}
	b.failures = 0
	b.windowAll = 0
	b.windowBad = 0
	return true
}

// Update updates the slots and the breaker of an endpoint after an attempt, and enters in
// the transition that follows how long the endpoint gets nothing ([attempt.Transition.Asked])
// and how long its circuit opens ([attempt.Transition.Pause]). Both are written in the commit
// of the transition, so they hold in every engine and outlive this one.
func (l *Limiter) Update(tr *attempt.Transition) {
	t, a := tr.Target, tr.Attempt
	if a.Outcome == attempt.OutcomeProxyFailed || a.Unanswered && !t.Probe {
		return
	}
	key := t.EndpointKey()
	opens := l.learn(key, a.Outcome, a.Duration, l.Now())
	if opens || t.Probe && attempt.IsEndpointFailure(a.Outcome) {
		tr.Pause = pauseAfter(t.CircuitOpened, l.Random)
	}
	if tr.Asked = a.Asked; tr.StopsEndpoint() {
		l.stop(key, time.Now().Add(recordTime))
	}
}

// Recorded is to be called after the record of a transition that Update has seen.
func (l *Limiter) Recorded(tr *attempt.Transition) {
	if tr.StopsEndpoint() {
		l.stop(tr.Target.EndpointKey(), time.Now())
	}
}

// stop enters when it is recorded that an endpoint gets nothing for a while.
func (l *Limiter) stop(key attempt.EndpointKey, recorded time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ep := l.find(key); ep != nil {
		ep.breaker.stopped = recorded
	}
}

// stoppedSince is true if the row that was read at a time may not say yet that the endpoint
// gets nothing for a while.
func (l *Limiter) stoppedSince(key attempt.EndpointKey, read time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(key)
	return ep != nil && ep.breaker.stopped.After(read)
}

// learn counts an outcome and returns whether the circuit of its endpoint opens.
func (l *Limiter) learn(key attempt.EndpointKey, outcome attempt.Outcome, took time.Duration, now time.Time) (opens bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(key)
	if ep == nil { // the URL has changed since the slot was taken
		return false
	}
	ep.breaker.begin(now)
	ep.took += (took - ep.took) / 8
	switch {
	case attempt.Accepted(outcome):
		ep.breaker.succeed()
		ep.grow()
		return false
	case outcome == attempt.OutcomeThrottled:
		ep.halve()
		return ep.breaker.fail()
	case attempt.IsEndpointFailure(outcome):
		return ep.breaker.fail()
	default:
		return false
	}
}

// halve and grow change the slots after an endpoint was throttled, and after a success.
func (ep *endpoint) halve() { ep.limit = max(ep.limit/2, 1) }
func (ep *endpoint) grow()  { ep.limit = min(ep.limit+1/ep.limit, float64(ep.most)) }

// pauseAfter is the pause of a circuit that has opened so many times before.
func pauseAfter(opened int, random func() float64) time.Duration {
	bounded := min(pause<<min(opened, 20), maxPause)
	return time.Duration(float64(bounded) * (1 + pauseJitter*(2*random()-1)))
}
