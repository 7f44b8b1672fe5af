package slots

import "time"

const (
	// slotWait is the expected wait for a slot up to which an attempt waits in memory.
	// One that is likely to wait longer is held as a row at once: a row costs more than
	// a moment's wait, and less than a worker that waits.
	slotWait = 3 * time.Second

	// newSlotWait is how long attempts wait for an endpoint that has not answered
	// anything yet, and newWaitingPerSlot how many: some such endpoints at once
	// leave workers for the others.
	newSlotWait       = 250 * time.Millisecond
	newWaitingPerSlot = 8

	// endpointAge is how long what is known of an endpoint is remembered while nothing
	// is sent to it: longer than any of it has a meaning.
	endpointAge = 10 * time.Minute

	// releaseLapse is when deliveries that were released and did not come for
	// their slot are believed to have gone to another engine.
	releaseLapse = time.Second

	// mostCapacity bounds what endpoint.capacity says of one that answers at once.
	mostCapacity = 10_000
)

// endpoint is what this process knows of one URL of a subscription. The lock of its
// Limiter guards it.
type endpoint struct {
	version int
	former  *endpoint // one with requests to a URL that is not in force any more

	inFlight int
	took     time.Duration // a request, by a moving average
	busy     time.Time     // since when all slots are taken without one being freed
	limit    float64       // the slots now: halved by throttling, grown back by successes
	most     int           // the slots at best
	waiting  []*waiter
	look     *time.Timer // for lookInterval, while attempts wait

	rated      bool   // its held deliveries go on by its rate, and not by its slots
	held       bool   // there may be held deliveries
	listed     bool   // it is among those of its share that may
	share      string // of those that were held last
	releasing  bool
	released   int // deliveries that were released and are on their way here
	releasedAt time.Time

	used time.Time // when it was asked for last

	breaker breaker
}

func (ep *endpoint) slots() int { return max(int(ep.limit), 1) }

// worthWaiting is true if an attempt that has ahead others before it is likely
// to have its turn soon. While an endpoint frees no slot the expected wait grows.
func (ep *endpoint) worthWaiting(ahead int, now time.Time) bool {
	if ep.took == 0 {
		return ahead < newWaitingPerSlot*ep.slots() && now.Sub(ep.busy) < newSlotWait
	}
	each := max(ep.took/time.Duration(ep.slots()), now.Sub(ep.busy))
	return each*time.Duration(ahead+1) <= slotWait
}

// idle is true if nothing is lost when the endpoint is dropped.
func (ep *endpoint) idle() bool {
	return ep.unused() && !ep.held && !ep.rated && ep.slots() == ep.most && ep.breaker.idle()
}

// unused is true if nobody has a slot, or is about to ask for one.
func (ep *endpoint) unused() bool { return ep.inFlight == 0 && len(ep.waiting) == 0 && !ep.releasing }

// capacity is how many requests it can get in a time, at the pace of the last ones. While it
// frees no slot that pace falls.
func (ep *endpoint) capacity(within time.Duration, now time.Time) int {
	free := ep.free(now)
	if ep.took <= 0 {
		return max(free, 0)
	}
	each := ep.took / time.Duration(ep.slots())
	if ep.inFlight >= ep.slots() {
		each = max(each, now.Sub(ep.busy))
	}
	return max(free+int(min(within.Seconds()/max(each, 1).Seconds(), mostCapacity)), 0)
}

// free is how many slots nobody has, waits for, or is on the way to.
func (ep *endpoint) free(now time.Time) int {
	if now.Sub(ep.releasedAt) > releaseLapse {
		ep.released = 0
	}
	return ep.slots() - ep.inFlight - len(ep.waiting) - ep.released
}
