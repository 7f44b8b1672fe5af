package turns

import (
	"context"
	"math"
	"slices"
	"sync"
)

// Gate bounds how many jobs of a process do a part of their work at once. While more want to,
// the share that has the fewest in work is next, and of several the one that was served least
// recently. The first job of a share that has none in work never waits, whatever others do in
// theirs: host code that hangs delays its own share. A Gate is safe for concurrent use.
type Gate struct {
	places int

	mu      sync.Mutex
	in      int
	served  uint64 // how often a job was let in
	lines   map[string]*line
	waiting []*line
}

// line is the jobs of one share at a gate.
type line struct {
	share  string
	in     int
	served uint64 // by the count of the gate, when one of them was let in last
	queue  []chan struct{}
}

// NewGate makes a gate with so many places.
func NewGate(places int) *Gate { return &Gate{places: places, lines: map[string]*line{}} }

// Enter waits until a job of a share may work. The caller gives its place back by Leave. It
// returns the error of ctx if that ends first.
func (g *Gate) Enter(ctx context.Context, share string) error {
	let := g.enter(share)
	if let == nil {
		return nil
	}
	select {
	case <-let:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[share]
	if at := slices.Index(l.queue, let); at >= 0 {
		l.queue = slices.Delete(l.queue, at, at+1)
		g.settle(l)
	} else { // it was let in just now
		g.leave(l)
	}
	return context.Cause(ctx)
}

// enter returns nil to a job that need not wait, and else what is closed when it may work.
func (g *Gate) enter(share string) (let chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[share]
	if l == nil {
		l = &line{share: share}
		g.lines[share] = l
	}
	if l.in == 0 || g.in < g.places {
		g.admit(l)
		return nil
	}
	let = make(chan struct{})
	if l.queue = append(l.queue, let); len(l.queue) == 1 {
		g.waiting = append(g.waiting, l)
	}
	return let
}

// Leave gives back what Enter took.
func (g *Gate) Leave(share string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(g.lines[share])
}

func (g *Gate) leave(l *line) {
	l.in--
	g.in--
	if l.in == 0 && len(l.queue) > 0 {
		g.next(l)
	}
	for g.in < g.places && len(g.waiting) > 0 {
		g.next(g.least())
	}
	g.settle(l)
}

// least is the line whose turn it is.
func (g *Gate) least() *line {
	var least *line
	fewest, longest := math.MaxInt, uint64(math.MaxUint64)
	for _, l := range g.waiting {
		if l.in < fewest || l.in == fewest && l.served < longest {
			least = l
			fewest, longest = l.in, l.served
		}
	}
	return least
}

// next lets the first job of a line in.
func (g *Gate) next(l *line) {
	let := l.queue[0]
	l.queue = l.queue[1:]
	g.admit(l)
	g.settle(l)
	close(let)
}

func (g *Gate) admit(l *line) {
	g.served++
	l.served = g.served
	l.in++
	g.in++
}

// settle forgets a line in which nobody waits, or nobody is at all.
func (g *Gate) settle(l *line) {
	if len(l.queue) > 0 {
		return
	}
	l.queue = nil
	g.waiting = slices.DeleteFunc(g.waiting, func(w *line) bool { return w == l })
	if l.in == 0 {
		delete(g.lines, l.share)
	}
}
