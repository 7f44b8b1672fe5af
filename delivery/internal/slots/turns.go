package slots

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// reservedPart is the part of the slots, one of so many, that is kept for shares that have
// few.
const reservedPart = 8

// Turns gives out the slots of a process by share. While slots are free anybody gets one;
// otherwise the next one goes to the share that has the fewest, and of several to the one
// that was served longest ago. The last slots, one of reservedPart, are a reserve: a share
// gets one of them only if it has fewer slots than are free. So one share alone gets all but
// the reserve, and another that comes then finds room. It is safe for concurrent use.
type Turns struct {
	slots   int // all of them
	general int // without the reserve

	mu      sync.Mutex
	used    int
	known   map[Share]*share
	waiting shares
	active  int    // shares that have slots or wait, urgent ones aside
	clock   uint64 // of turns
	looking bool   // the wait of those that wait is looked at again
}

// NewTurns makes a Turns with so many slots, at least one.
func NewTurns(slots int) *Turns {
	reserve := slots / reservedPart
	if slots > 1 {
		reserve = max(reserve, 1)
	}
	return &Turns{
		slots:   slots,
		general: slots - reserve,
		known:   map[Share]*share{},
	}
}

// Slot is one of a Turns, until Leave.
type Slot struct {
	turns *Turns
	share *share
	since time.Time
}

// Acquire waits for a slot. It returns false if the turn of the share is far off, so that
// the delivery should be held, and after the end of ctx.
func (t *Turns) Acquire(ctx context.Context, of Share) (Slot, bool) { return t.acquire(ctx, of, false) }

// Await is Acquire for what is not held: it returns false only after the end of ctx.
func (t *Turns) Await(ctx context.Context, of Share) (Slot, bool) { return t.acquire(ctx, of, true) }

func (t *Turns) acquire(ctx context.Context, of Share, patient bool) (Slot, bool) {
	s, w := t.enter(of, patient, time.Now())
	if s == nil {
		return Slot{}, false
	}
	ok := w == nil
	if w != nil {
		select {
		case ok = <-w.given:
		case <-ctx.Done():
			ok = !t.giveUp(s, w) && <-w.given
		}
	}
	if !ok {
		return Slot{}, false
	}
	return Slot{
		turns: t,
		share: s,
		since: time.Now(),
	}, true
}

// enter gives a slot, or has an attempt wait for its turn, or does neither: then it returns
// no share.
func (t *Turns) enter(of Share, patient bool, now time.Time) (*share, *waitingTurn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(of)
	if t.mayHave(s) { // then it does not wait, and nobody waits whose turn is before its own
		t.give(s, now)
		t.settle(s)
		return s, nil
	}
	if !patient && !t.worthWaiting(s, len(s.waiting), now) {
		return nil, nil
	}
	w := &waitingTurn{given: make(chan bool, 1), patient: patient}
	if s.waiting = append(s.waiting, w); len(s.waiting) == 1 {
		t.clock++
		s.turn = t.clock
		heap.Push(&t.waiting, s)
	}
	t.settle(s)
	if !patient && !t.looking {
		t.looking = true
		time.AfterFunc(lookInterval, t.lookAgain)
	}
	return s, w
}

// Leave gives a slot back, and the share whose turn it is gets it. It must be called once.
func (s Slot) Leave() {
	t := s.turns
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.share.learn(now.Sub(s.since))
	s.share.since = now
	s.share.used--
	t.used--
	t.settle(s.share)
	t.handOver(now)
}

// mayHave is true if there is a slot for a share.
func (t *Turns) mayHave(s *share) bool { return t.used < t.general || s.used < t.slots-t.used }

// give and handOver must be called with the lock held, as all below.
func (t *Turns) give(s *share, now time.Time) {
	t.clock++
	s.turn = t.clock
	s.since = now
	s.used++
	t.used++
}

// handOver gives free slots to those that wait. If the first may have none, no other may.
func (t *Turns) handOver(now time.Time) {
	for len(t.waiting) > 0 && t.mayHave(t.waiting[0]) {
		s := t.waiting[0]
		next := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		t.give(s, now)
		t.settle(s)
		next.given <- true
	}
}

// settle enters what has changed of a share.
func (t *Turns) settle(s *share) {
	switch {
	case s.index < 0:
	case len(s.waiting) == 0:
		heap.Remove(&t.waiting, s.index)
		s.waiting = nil
	default:
		heap.Fix(&t.waiting, s.index)
	}
	active := !s.name.Urgent && (s.used > 0 || s.queued > 0 || len(s.waiting) > 0)
	if active != s.active {
		s.active = active
		if active {
			t.active++
		} else {
			t.active--
		}
	}
}

// giveUp ends a wait. It returns false if the slot has been given, or refused.
func (t *Turns) giveUp(s *share, w *waitingTurn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(s.waiting, w)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	t.settle(s)
	return true
}

// lookAgain ends the wait, from the last one on, of those whose turn is far off now.
func (t *Turns) lookAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.looking = false
	for _, s := range slices.Clone(t.waiting) {
		for n := len(s.waiting); n > 0 && !s.waiting[n-1].patient; n = len(s.waiting) {
			if t.worthWaiting(s, n-1, now) {
				t.looking = true
				break
			}
			last := s.waiting[n-1]
			s.waiting = s.waiting[:n-1]
			last.given <- false
		}
		t.settle(s)
	}
	if t.looking {
		time.AfterFunc(lookInterval, t.lookAgain)
	}
}

// worthWaiting is true if an attempt of a share that has ahead others before it has its
// turn soon: as long as the share has less than its part, and then by its pace.
func (t *Turns) worthWaiting(s *share, ahead int, now time.Time) bool {
	return s.used+ahead < t.part(s) || s.soon(ahead, now)
}

// part is how many slots a share can count on, whatever the others want.
func (t *Turns) part(s *share) int {
	active := t.active
	if s == nil || !s.active {
		active++
	}
	return max(t.general/active, 1)
}

func (t *Turns) get(of Share) *share {
	s := t.known[of]
	if s == nil {
		s = &share{
			name:  of,
			index: -1,
			since: time.Now(),
		}
		t.known[of] = s
	}
	return s
}

// InUse is how many slots are given out.
func (t *Turns) InUse() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// DropUnused drops what is known of shares that have used no slot lately.
func (t *Turns) DropUnused(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for of, s := range t.known {
		if s.used == 0 && s.queued == 0 && len(s.waiting) == 0 && now.Sub(s.since) > endpointAge {
			delete(t.known, of)
		}
	}
}
