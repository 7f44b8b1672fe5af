package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// slotWait is how long an attempt waits in memory for a slot of its endpoint
	// before it is held as a row. One that is likely to wait longer is held at
	// once: a held row costs more than a moment's wait, and less than a worker
	// that waits.
	slotWait = time.Second

	// An endpoint that has not answered yet is given less of both.
	newSlotWait       = 100 * time.Millisecond
	newWaitingPerSlot = 4

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
	def     int // slots where the subscription names none
	waiters int // the most attempts that wait for a slot of one endpoint

	mu sync.Mutex
	of map[uuid.UUID]*endpoint
}

type endpoint struct {
	inFlight int
	took     time.Duration // a request, by a moving average
	busy     time.Time     // since when all slots are taken without one being freed
	limit    float64       // the slots now: halved by throttling, grown back by successes
	most     int           // the slots at best
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

func newEndpoints(def, waiters int) *endpoints {
	return &endpoints{def: def, waiters: waiters, of: map[uuid.UUID]*endpoint{}}
}

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
		if ep.inFlight == ep.slots() {
			ep.busy = time.Now()
		}
		es.mu.Unlock()
		return true
	}
	patience := ep.patience(es.waiters, time.Now())
	if patience == 0 {
		ep.held = true
		es.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	ep.waiting = append(ep.waiting, turn)
	es.mu.Unlock()

	timer := time.NewTimer(patience)
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
	ep.busy = time.Now()
	ep.handOver()
	if ep.idle() {
		delete(es.of, id)
	}
}

// patience is how long one more attempt should wait for its turn; 0 when it
// should be held.
func (ep *endpoint) patience(waiters int, now time.Time) time.Duration {
	n := len(ep.waiting)
	if ep.took == 0 {
		if n >= newWaitingPerSlot*ep.slots() || now.Sub(ep.busy) > newSlotWait {
			return 0
		}
		return newSlotWait
	}
	each := max(ep.took/time.Duration(ep.slots()), now.Sub(ep.busy))
	if n >= waiters || each*time.Duration(n+1) > slotWait {
		return 0
	}
	return slotWait
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
func (es *endpoints) learn(id uuid.UUID, outcome Outcome, took time.Duration, now time.Time) (open bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.of[id]
	if now.Sub(ep.windowStart) > circuitWindow {
		ep.windowStart, ep.windowAll, ep.windowBad = now, 0, 0
	}
	ep.windowAll++
	ep.took += (took - ep.took) / 8
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
