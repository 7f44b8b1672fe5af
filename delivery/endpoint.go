package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

const (
	// slotWait is the wait for a slot of its endpoint, as it is to be expected,
	// up to which an attempt waits in memory. One that is likely to wait longer
	// is held as a row at once: a row costs more than a moment's wait, and less
	// than a worker that waits.
	slotWait = 3 * time.Second

	// newSlotWait is how long attempts wait for an endpoint that has not answered
	// anything yet, and newWaitingPerSlot how many: some such endpoints at once
	// leave workers for the others.
	newSlotWait       = 250 * time.Millisecond
	newWaitingPerSlot = 8

	// slotLook is how often the expectation is looked at again: an endpoint that
	// begins to hang keeps workers hardly longer.
	slotLook = 100 * time.Millisecond

	// endpointAge is how long what is known of an endpoint is remembered while nothing is
	// to be sent to it: longer than any of it has a meaning.
	endpointAge = 10 * time.Minute

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
	of map[uuid.UUID]*endpoint // by subscription, with the URL that is in force
}

type endpoint struct {
	version int
	former  *endpoint // one with requests to a URL that is not in force any more

	inFlight int
	took     time.Duration // a request, by a moving average
	busy     time.Time     // since when all slots are taken without one being freed
	limit    float64       // the slots now: halved by throttling, grown back by successes
	most     int           // the slots at best
	waiting  []*waiter
	look     *time.Timer // for slotLook, while attempts wait

	held       bool // there may be held deliveries
	releasing  bool
	released   int // deliveries that were released and are on their way here
	releasedAt time.Time

	used time.Time // when it was asked for last

	turned time.Time // when it was last recorded that its circuit opened, or that it asked to wait

	failures    int // in a row
	windowStart time.Time
	windowAll   int
	windowBad   int
}

func newEndpoints(def int) *endpoints {
	return &endpoints{def: def, of: map[uuid.UUID]*endpoint{}}
}

// find returns nil where nothing is known. It, get and forget must be called with the
// lock held.
func (es *endpoints) find(key attempt.EndpointKey) *endpoint {
	ep := es.of[key.SubscriptionID]
	for ep != nil && ep.version != key.URLVersion {
		ep = ep.former
	}
	return ep
}

func (es *endpoints) get(key attempt.EndpointKey, most int) *endpoint {
	if most <= 0 {
		most = es.def
	}
	ep := es.find(key)
	if ep == nil {
		ep = &endpoint{
			version: key.URLVersion,
			limit:   float64(most),
			most:    most,
		}
		es.add(key.SubscriptionID, ep)
	}
	ep.used = time.Now()
	if ep.most != most {
		ep.most, ep.limit = most, float64(most)
	}
	return ep
}

// add puts the latest URL in front.
func (es *endpoints) add(id uuid.UUID, ep *endpoint) {
	latest := es.of[id]
	if latest != nil && latest.version > ep.version { // who comes had read the subscription before
		ep.former, latest.former = latest.former, ep
		return
	}
	es.of[id] = ep
	if latest != nil {
		ep.former, ep.held = latest, latest.held
		es.forget(attempt.EndpointKey{SubscriptionID: id, URLVersion: latest.version})
	}
}

// age forgets the endpoints that nobody has asked for lately: what is known of them
// says nothing any more.
func (es *endpoints) age(now time.Time) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for id, latest := range es.of {
		for at := &latest; *at != nil; {
			if ep := *at; ep.unused() && now.Sub(ep.used) > endpointAge {
				*at = ep.former
			} else {
				at = &ep.former
			}
		}
		if latest == nil {
			delete(es.of, id)
		} else {
			es.of[id] = latest
		}
	}
}

// forget drops an endpoint of which nothing is needed any more.
func (es *endpoints) forget(key attempt.EndpointKey) {
	latest := es.of[key.SubscriptionID]
	for at := &latest; *at != nil; at = &(*at).former {
		ep := *at
		if ep.version != key.URLVersion {
			continue
		}
		if ep.idle() || ep != es.of[key.SubscriptionID] && ep.unused() {
			*at = ep.former
		}
		break
	}
	if latest == nil {
		delete(es.of, key.SubscriptionID)
	} else {
		es.of[key.SubscriptionID] = latest
	}
}

// waiter is an attempt that waits for its turn. It has no goroutine: under load
// there are many thousands.
type waiter struct {
	turn func(ok bool)
	stop func() bool // ends the watch over the context
}

func (w *waiter) end(ok bool) {
	w.stop()
	w.turn(ok)
}

// enter calls turn once: with true when the attempt has a slot, with false when
// its delivery should be held or ctx has ended. turn must not block.
func (es *endpoints) enter(ctx context.Context, key attempt.EndpointKey, most int, turn func(ok bool)) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.get(key, most)
	ep.released = max(ep.released-1, 0)
	if ep.inFlight < ep.slots() {
		ep.inFlight++
		if ep.inFlight == ep.slots() {
			ep.busy = time.Now()
		}
		turn(true)
		return
	}
	if !ep.worthWaiting(len(ep.waiting), time.Now()) {
		ep.held = true
		turn(false)
		return
	}
	w := &waiter{turn: turn}
	w.stop = context.AfterFunc(ctx, func() { es.giveUp(key, w) })
	ep.waiting = append(ep.waiting, w)
	if len(ep.waiting) == 1 {
		ep.look = time.AfterFunc(slotLook, func() { es.lookAgain(ep) })
	}
}

// lookAgain sends those away, from the end, who would wait too long now.
func (es *endpoints) lookAgain(ep *endpoint) {
	es.mu.Lock()
	defer es.mu.Unlock()
	now := time.Now()
	for n := len(ep.waiting); n > 0 && !ep.worthWaiting(n-1, now); n = len(ep.waiting) {
		last := ep.waiting[n-1]
		ep.waiting = ep.waiting[:n-1]
		ep.held = true
		last.end(false)
	}
	if len(ep.waiting) > 0 {
		ep.look.Reset(slotLook)
	}
}

// giveUp ends the wait of one whose context has ended.
func (es *endpoints) giveUp(key attempt.EndpointKey, w *waiter) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if ep := es.find(key); ep != nil {
		if i := slices.Index(ep.waiting, w); i >= 0 {
			ep.waiting = slices.Delete(ep.waiting, i, i+1)
			w.end(false)
		}
	}
}

// acquire is enter for who can wait.
func (es *endpoints) acquire(ctx context.Context, key attempt.EndpointKey, most int) bool {
	turn := make(chan bool, 1)
	es.enter(ctx, key, most, func(ok bool) { turn <- ok })
	return <-turn
}

// leave gives a slot back and hands it to who waits for it.
func (es *endpoints) leave(key attempt.EndpointKey) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.find(key)
	ep.inFlight--
	ep.busy = time.Now()
	ep.handOver()
	es.forget(key)
}

// worthWaiting is true where an attempt that has ahead others before it is likely
// to have its turn soon. While an endpoint frees no slot the expected wait grows.
func (ep *endpoint) worthWaiting(ahead int, now time.Time) bool {
	if ep.took == 0 {
		return ahead < newWaitingPerSlot*ep.slots() && now.Sub(ep.busy) < newSlotWait
	}
	each := max(ep.took/time.Duration(ep.slots()), now.Sub(ep.busy))
	return each*time.Duration(ahead+1) <= slotWait
}

func (ep *endpoint) handOver() {
	for len(ep.waiting) > 0 && ep.inFlight < ep.slots() {
		next := ep.waiting[0]
		ep.waiting = ep.waiting[1:]
		ep.inFlight++
		next.end(true)
	}
}

// idle is true where forgetting the endpoint loses nothing.
func (ep *endpoint) idle() bool {
	return ep.unused() && !ep.held && ep.failures == 0 && ep.slots() == ep.most && ep.windowBad == 0 &&
		ep.turned.IsZero()
}

// unused is true where nobody has a slot, or is about to ask for one.
func (ep *endpoint) unused() bool { return ep.inFlight == 0 && len(ep.waiting) == 0 && !ep.releasing }

func (ep *endpoint) slots() int { return max(int(ep.limit), 1) }

// learn takes in how an attempt ended. It returns whether the endpoint's
// circuit should open.
func (es *endpoints) learn(key attempt.EndpointKey, outcome Outcome, took time.Duration, now time.Time) (open bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.find(key)
	if ep == nil { // the URL is another since the slot was taken
		return false
	}
	if now.Sub(ep.windowStart) > circuitWindow {
		ep.windowStart = now
		ep.windowAll = 0
		ep.windowBad = 0
	}
	ep.windowAll++
	ep.took += (took - ep.took) / 8
	switch {
	case attempt.Accepted(outcome):
		ep.failures, ep.turned = 0, time.Time{}
		ep.limit = min(ep.limit+1/ep.limit, float64(ep.most))
		return false
	case outcome == OutcomeThrottled:
		ep.limit = max(ep.limit/2, 1)
	case !attempt.IsEndpointFailure(outcome):
		return false
	}
	ep.failures++
	ep.windowBad++
	if ep.failures < circuitRow && (ep.windowAll < circuitSample || 2*ep.windowBad < ep.windowAll) {
		return false
	}
	ep.failures = 0
	ep.windowAll = 0
	ep.windowBad = 0
	return true
}

// turn is called when an endpoint is to get nothing for a while, with a time by which
// that is recorded, and again when it is: what is read before does not know.
func (es *endpoints) turn(key attempt.EndpointKey, recorded time.Time) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if ep := es.find(key); ep != nil {
		ep.turned = recorded
	}
}

// turnedSince is whether what was read at a time does not know of the last turn.
func (es *endpoints) turnedSince(key attempt.EndpointKey, read time.Time) bool {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.find(key)
	return ep != nil && ep.turned.After(read)
}

// wantsRelease says how many held deliveries of the endpoint may be released
// now, and keeps others from releasing until released is called.
func (es *endpoints) wantsRelease(key attempt.EndpointKey, now time.Time) int {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.find(key)
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
func (es *endpoints) offer(key attempt.EndpointKey, most int, now time.Time) int {
	es.mu.Lock()
	es.get(key, most).held = true
	es.mu.Unlock()
	return es.wantsRelease(key, now)
}

func (ep *endpoint) free(now time.Time) int {
	if now.Sub(ep.releasedAt) > releaseLapse {
		ep.released = 0
	}
	return ep.slots() - ep.inFlight - len(ep.waiting) - ep.released
}

// released ends what wantsRelease began.
func (es *endpoints) released(key attempt.EndpointKey, wanted, got int, now time.Time) {
	es.mu.Lock()
	defer es.mu.Unlock()
	ep := es.find(key)
	ep.releasing = false
	ep.held = got >= wanted
	if got > 0 {
		ep.released += got
		ep.releasedAt = now
	}
	es.forget(key)
}
