package payloads

import (
	"math"
	"slices"
)

// waiter is a job that waits for its bytes. It holds nothing.
type waiter struct {
	want    Want
	granted chan *Held // has room for one
}

// share is what a Pool knows of a share: what its jobs hold, and which of them wait. The
// lock of the Pool guards it.
type share struct {
	name    string
	bytes   int    // that it holds
	turn    uint64 // when it was served last, or began to wait
	waiting []*waiter
}

// order is the order in which those that wait are served: the share that holds the fewest
// bytes is first, and of several the one that was served longest ago or began to wait
// first. In a share it is the order in which they came.
type order struct {
	known   map[string]*share
	waiting []*share
	clock   uint64 // of turns
}

func newOrder() *order { return &order{known: map[string]*share{}} }

func (o *order) get(name string) *share {
	s := o.known[name]
	if s == nil {
		s = &share{name: name}
		o.known[name] = s
	}
	return s
}

// forget forgets a share that holds nothing and waits for nothing.
func (o *order) forget(s *share) {
	if s.bytes == 0 && len(s.waiting) == 0 {
		delete(o.known, s.name)
	}
}

// charge counts bytes of a share, or gives them back.
func (o *order) charge(name string, bytes int) {
	if bytes == 0 {
		return
	}
	s := o.get(name)
	s.bytes += bytes
	o.forget(s)
}

// served says that a share has had its turn.
func (o *order) served(name string) {
	if s := o.known[name]; s != nil {
		o.clock++
		s.turn = o.clock
	}
}

func (o *order) add(w *waiter) {
	s := o.get(w.want.Share)
	if s.waiting = append(s.waiting, w); len(s.waiting) == 1 {
		o.clock++
		s.turn = o.clock
		o.waiting = append(o.waiting, s)
	}
}

// remove is for waiters that were added.
func (o *order) remove(w *waiter) {
	s := o.known[w.want.Share]
	at := slices.Index(s.waiting, w)
	s.waiting = slices.Delete(s.waiting, at, at+1)
	if len(s.waiting) == 0 {
		s.waiting = nil
		o.waiting = slices.DeleteFunc(o.waiting, func(other *share) bool { return other == s })
		o.forget(s)
	}
}

// next is the one of those for whom may is true that is served next; nil if there is none. It
// stays where it is.
func (o *order) next(may func(*waiter) bool) (next *waiter) {
	fewest, longest := math.MaxInt, uint64(math.MaxUint64)
	for _, s := range o.waiting {
		if s.bytes > fewest || s.bytes == fewest && s.turn >= longest {
			continue
		}
		if i := slices.IndexFunc(s.waiting, may); i >= 0 {
			next = s.waiting[i]
			fewest, longest = s.bytes, s.turn
		}
	}
	return next
}
