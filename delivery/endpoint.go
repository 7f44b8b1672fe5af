package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxWaitingPerSlot bounds, in multiples of its slots, how many attempts
	// wait in memory for a slot of one endpoint.
	maxWaitingPerSlot = 4

	// slotWait is how long they wait before they are held as rows. A healthy
	// endpoint frees a slot much sooner.
	slotWait = 50 * time.Millisecond

	// releaseLapse is when deliveries that were released and did not come for
	// their slot are believed to have gone to another engine.
	releaseLapse = time.Second

	// The circuit opens after this many failures in a row, or when at least
	// half of at least circuitSample attempts in circuitWindow have failed.
	circuitRow    = 5
	circuitSample = 20
	circuitWindow = 30 * time.Second
)

// endpoints bounds the requests in flight to each subscription's URL, so that
// one that hangs cannot take the workers of the others. What it knows is of
// this process alone; what must outlive it is in subscription_health.
type endpoints struct {
	def int // slots where the subscription names none

	mu sync.Mutex
	of map[uuid.UUID]*endpoint
}

type endpoint struct {
	inFlight int
	limit    float64 // the slots now: halved by throttling, grown back by successes
	most     int     // the slots at best
	waiting  []chan struct{}

	held       bool // there may be held deliveries
	releasing  bool
	released   int // deliveries that were released and are on their way here
	releasedAt time.Time

	failures    int // in a row
	windowStart time.Time
	windowAll   int
	windowBad   int
}

func newEndpoints(def int) *endpoints { return &endpoints{def: def, of: map[uuid.UUID]*endpoint{}} }

// get must be called with the lock held.
func (es *endpoints) get(id uuid.UUID, most int) *endpoint {
	if most <= 0 {
		most = es.def
	}
	ep := es.of[id]
	if ep == nil {
		ep = &endpoint{limit: float64(most), most: most}
		es.of[id] = ep
	}
	if ep.most != most {
		ep.most, ep.limit = most, float64(most)
	}
	return ep
}

// acquire takes a slot, waiting a moment if there is none. It is false when the
// delivery should be held.
func (es *endpoints) acquire(ctx context.Context, id uuid.UUID, most int) bool {
	es.mu.Lock()
	ep := es.get(id, most)
	ep.released = max(ep.released-1, 0)
	if ep.inFlight < ep.slots() {
		ep.inFlight++
		es.mu.Unlock()
		return true
	}
	if len(ep.waiting) >= maxWaitingPerSlot*ep.slots() {
		ep.held = true
		es.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	ep.waiting = append(ep.waiting, turn)
	es.mu.Unlock()

	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	for i, other := range ep.waiting {
		if other == turn {
			ep.waiting = append(ep.waiting[:i], ep.waiting[i+1:]...)
			ep.held = true
			return false
		}
	}
	return true // the slot came at the same moment
}

// leave gives a slot back and hands it to who waits for it.
func (es *endpoints) leave(id uuid.UUID) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.of[id]
	ep.inFlight--
	ep.handOver()
	if ep.idle() {
		delete(es.of, id)
	}
}

func (ep *endpoint) handOver() {
	for len(ep.waiting) > 0 && ep.inFlight < ep.slots() {
		close(ep.waiting[0])
		ep.waiting = ep.waiting[1:]
		ep.inFlight++
	}
}

// idle is true where forgetting the endpoint loses nothing.
func (ep *endpoint) idle() bool {
	return ep.inFlight == 0 && len(ep.waiting) == 0 && !ep.held && !ep.releasing && ep.failures == 0 && ep.slots() == ep.most &&
		ep.windowBad == 0
}

func (ep *endpoint) slots() int { return max(int(ep.limit), 1) }

// learn takes in how an attempt ended. It returns whether the endpoint's
// circuit should open.
func (es *endpoints) learn(id uuid.UUID, outcome Outcome, now time.Time) (open bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.of[id]
	if now.Sub(ep.windowStart) > circuitWindow {
		ep.windowStart, ep.windowAll, ep.windowBad = now, 0, 0
	}
	ep.windowAll++
	switch {
	case outcome == OutcomeDelivered:
		ep.failures = 0
		ep.limit = min(ep.limit+1/ep.limit, float64(ep.most))
		return false
	case outcome == OutcomeThrottled:
		ep.limit = max(ep.limit/2, 1)
	case !isEndpointFailure(outcome):
		return false
	}
	ep.failures++
	ep.windowBad++
	if ep.failures < circuitRow && (ep.windowAll < circuitSample || 2*ep.windowBad < ep.windowAll) {
		return false
	}
	ep.failures, ep.windowAll, ep.windowBad = 0, 0, 0
	return true
}

// wantsRelease says how many held deliveries of the endpoint may be released
// now, and keeps others from releasing until released is called.
func (es *endpoints) wantsRelease(id uuid.UUID, now time.Time) int {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.of[id]
	if ep == nil || !ep.held || ep.releasing {
		return 0
	}
	n := ep.free(now)
	if n < 1 || n < ep.slots()/4 {
		return 0
	}
	ep.releasing = true
	return n
}

// offer is wantsRelease for who found held deliveries in the database.
func (es *endpoints) offer(id uuid.UUID, most int, now time.Time) int {
	es.mu.Lock()
	es.get(id, most).held = true
	es.mu.Unlock()
	return es.wantsRelease(id, now)
}

func (ep *endpoint) free(now time.Time) int {
	if now.Sub(ep.releasedAt) > releaseLapse {
		ep.released = 0
	}
	return ep.slots() - ep.inFlight - len(ep.waiting) - ep.released
}

// released ends what wantsRelease began.
func (es *endpoints) released(id uuid.UUID, wanted, got int, now time.Time) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.of[id]
	ep.releasing = false
	ep.held = got >= wanted
	if got > 0 {
		ep.released += got
		ep.releasedAt = now
	}
	if ep.idle() {
		delete(es.of, id)
	}
}
