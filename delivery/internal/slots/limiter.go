package slots

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// lookInterval is how often the expected wait of those that wait is computed again: an
// endpoint that begins to hang keeps workers hardly longer.
const lookInterval = 100 * time.Millisecond

// Limiter bounds the requests in flight to each endpoint, so that one that hangs cannot
// take the workers of the others, and holds the part of each endpoint's circuit breaker
// that is in memory. It knows of this process alone; what must outlive the process is in
// the table subscription_health. It is safe for concurrent use.
type Limiter struct {
	LimiterConfig

	mu     sync.Mutex
	latest map[uuid.UUID]*endpoint          // by subscription: the URL in force, with the former ones behind it
	held   map[string][]attempt.EndpointKey // of each share, those that may have held deliveries
}

// LimiterConfig is what a Limiter works by.
type LimiterConfig struct {
	Slots    int // of an endpoint whose subscription does not say how many
	MaxSlots int // of any endpoint, whatever its subscription says

	Process *Turns // of the requests of the process, which come after those of endpoints

	Now    func() time.Time // the clock by which failures are forgotten
	Random func() float64   // even, in [0, 1)
}

// NewLimiter makes a Limiter.
func NewLimiter(cfg LimiterConfig) *Limiter {
	return &Limiter{
		LimiterConfig: cfg,
		latest:        map[uuid.UUID]*endpoint{},
		held:          map[string][]attempt.EndpointKey{},
	}
}

// find returns nil if nothing is known of an endpoint. It, get and drop must be called
// with the lock held.
func (l *Limiter) find(key attempt.EndpointKey) *endpoint {
	ep := l.latest[key.SubscriptionID]
	for ep != nil && ep.version != key.URLVersion {
		ep = ep.former
	}
	return ep
}

// get is find, and adds an endpoint of which nothing is known.
func (l *Limiter) get(key attempt.EndpointKey, most int) *endpoint {
	most = l.slots(most)
	ep := l.find(key)
	if ep == nil {
		ep = &endpoint{
			version: key.URLVersion,
			limit:   float64(most),
			most:    most,
		}
		l.add(key.SubscriptionID, ep)
	}
	ep.used = time.Now()
	if ep.most != most {
		ep.most, ep.limit = most, float64(most)
	}
	return ep
}

// slots are those of an endpoint whose subscription says most.
func (l *Limiter) slots(most int) int {
	if most <= 0 {
		most = l.Slots
	}
	return min(most, l.MaxSlots)
}

// add puts the latest URL in front.
func (l *Limiter) add(id uuid.UUID, ep *endpoint) {
	latest := l.latest[id]
	if latest != nil && latest.version > ep.version { // the caller read the subscription before the change
		ep.former, latest.former = latest.former, ep
		return
	}
	l.latest[id] = ep
	if latest != nil {
		ep.former = latest
		if latest.held {
			latest.held = false
			l.hold(attempt.EndpointKey{SubscriptionID: id, URLVersion: ep.version}, ep, latest.share)
		}
		l.drop(attempt.EndpointKey{SubscriptionID: id, URLVersion: latest.version})
	}
}

// DropUnused drops what is known of endpoints to which nothing was sent lately: it has no
// meaning any more. now is by the clock of the process.
func (l *Limiter) DropUnused(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Process.DropUnused(now)
	for id, latest := range l.latest {
		for at := &latest; *at != nil; {
			if ep := *at; ep.unused() && now.Sub(ep.used) > endpointAge {
				*at = ep.former
			} else {
				at = &ep.former
			}
		}
		l.set(id, latest)
	}
}

// drop drops an endpoint if nothing that is known of it is needed.
func (l *Limiter) drop(key attempt.EndpointKey) {
	latest := l.latest[key.SubscriptionID]
	for at := &latest; *at != nil; at = &(*at).former {
		ep := *at
		if ep.version != key.URLVersion {
			continue
		}
		if ep.idle() || ep != l.latest[key.SubscriptionID] && ep.unused() {
			*at = ep.former
		}
		break
	}
	l.set(key.SubscriptionID, latest)
}

func (l *Limiter) set(id uuid.UUID, latest *endpoint) {
	if latest == nil {
		delete(l.latest, id)
	} else {
		l.latest[id] = latest
	}
}

// waiter is an attempt that waits for its turn. It has no goroutine: under load
// there are many thousands.
type waiter struct {
	share Share
	turn  func(ok bool)
	stop  func() bool // ends the watch over the context
}

// end ends a wait.
func (l *Limiter) end(w *waiter, ok bool) {
	w.stop()
	l.Process.unqueue(w.share)
	w.turn(ok)
}

// shareOf is the share of an attempt.
func shareOf(t *attempt.Target) Share { return Share{Name: t.Share, Urgent: t.Question} }

// Enter calls turn once: with true when the attempt has a slot of its endpoint, with false
// when its delivery should be held or ctx has ended. It does not wait, and turn must not
// block. The slot is given back by Leave. The share of the target is set.
func (l *Limiter) Enter(ctx context.Context, t *attempt.Target, turn func(ok bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, share := t.EndpointKey(), shareOf(t)
	ep := l.get(key, t.Sub.MaxInFlight)
	if !t.Question && ep.rated != t.Rated {
		ep.rated, ep.held = t.Rated, false
	}
	l.arrived(ep)
	if ep.inFlight < ep.slots() {
		ep.inFlight++
		if ep.inFlight == ep.slots() {
			ep.busy = time.Now()
		}
		turn(true)
		return
	}
	now := time.Now()
	if !ep.worthWaiting(len(ep.waiting), now) || !l.Process.queue(share, now) {
		l.hold(key, ep, share.Name)
		turn(false)
		return
	}
	w := &waiter{share: share, turn: turn}
	w.stop = context.AfterFunc(ctx, func() { l.giveUp(key, w) })
	ep.waiting = append(ep.waiting, w)
	if len(ep.waiting) == 1 {
		ep.look = time.AfterFunc(lookInterval, func() { l.lookAgain(key, ep) })
	}
}

// Acquire is the blocking form of Enter.
func (l *Limiter) Acquire(ctx context.Context, t *attempt.Target) bool {
	turn := make(chan bool, 1)
	l.Enter(ctx, t, func(ok bool) { turn <- ok })
	return <-turn
}

// Leave gives a slot back, which the attempt that waits longest gets.
func (l *Limiter) Leave(key attempt.EndpointKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(key)
	ep.inFlight--
	ep.busy = time.Now()
	for len(ep.waiting) > 0 && ep.inFlight < ep.slots() {
		next := ep.waiting[0]
		ep.waiting = ep.waiting[1:]
		ep.inFlight++
		l.end(next, true)
	}
	l.drop(key)
}

// lookAgain ends the wait, from the last one on, of those that would wait too long now.
func (l *Limiter) lookAgain(key attempt.EndpointKey, ep *endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for n := len(ep.waiting); n > 0 && !ep.worthWaiting(n-1, now); n = len(ep.waiting) {
		last := ep.waiting[n-1]
		ep.waiting = ep.waiting[:n-1]
		l.hold(key, ep, last.share.Name)
		l.end(last, false)
	}
	if len(ep.waiting) > 0 {
		ep.look.Reset(lookInterval)
	}
}

// giveUp ends the wait of an attempt whose context has ended.
func (l *Limiter) giveUp(key attempt.EndpointKey, w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ep := l.find(key); ep != nil {
		if i := slices.Index(ep.waiting, w); i >= 0 {
			ep.waiting = slices.Delete(ep.waiting, i, i+1)
			l.end(w, false)
		}
	}
}

// InFlight is how many attempts have a slot of the URL in force of a subscription, and
// how many of all the URLs that it has had.
func (l *Limiter) InFlight(subscription uuid.UUID) (latest, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ep := l.latest[subscription]; ep != nil; ep = ep.former {
		if all += ep.inFlight; ep == l.latest[subscription] {
			latest = ep.inFlight
		}
	}
	return latest, all
}

// Endpoints is how many subscriptions have endpoints of which something is known.
func (l *Limiter) Endpoints() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.latest)
}
