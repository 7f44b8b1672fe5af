package turns

import (
	"context"
	"math"
	"slices"
	"sync"
)

// Admission bounds how many jobs of a process do a part of their work at once. While more want
// to, the share that has the fewest in work is next, and of several the one that was served
// least recently. The first job of a share that has none in work never waits, whatever others
// do in theirs: host code that hangs delays its own share. It is safe for concurrent use.
type Admission struct {
	most int

	mu      sync.Mutex
	in      int
	served  uint64 // how often a job was let in
	lines   map[string]*line
	waiting []*line
}

// line is the jobs of one share.
type line struct {
	share  string
	in     int
	served uint64 // by the count of all, when one of them was let in last
	queue  []chan struct{}
}

// NewAdmission admits so many jobs at once.
func NewAdmission(most int) *Admission {
	return &Admission{
		most:  most,
		lines: map[string]*line{},
	}
}

// Enter waits until a job of a share may work. The caller must call Leave when it has. It
// returns the error of ctx if that ends first.
func (a *Admission) Enter(ctx context.Context, share string) error {
	let := a.enter(share)
	if let == nil {
		return nil
	}
	select {
	case <-let:
		return nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lines[share]
	if at := slices.Index(l.queue, let); at >= 0 {
		l.queue = slices.Delete(l.queue, at, at+1)
		a.forget(l)
	} else { // it was let in just now
		a.leave(l)
	}
	return context.Cause(ctx)
}

// enter returns nil to a job that need not wait, and else what is closed when it may work.
func (a *Admission) enter(share string) (let chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lines[share]
	if l == nil {
		l = &line{share: share}
		a.lines[share] = l
	}
	if l.in == 0 || a.in < a.most {
		a.admit(l)
		return nil
	}
	let = make(chan struct{})
	if l.queue = append(l.queue, let); len(l.queue) == 1 {
		a.waiting = append(a.waiting, l)
	}
	return let
}

// Leave gives back what Enter took.
func (a *Admission) Leave(share string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave(a.lines[share])
}

func (a *Admission) leave(l *line) {
	l.in--
	a.in--
	if l.in == 0 && len(l.queue) > 0 {
		a.next(l)
	}
	for a.in < a.most && len(a.waiting) > 0 {
		a.next(a.least())
	}
	a.forget(l)
}

// least is the line whose turn it is.
func (a *Admission) least() *line {
	var least *line
	fewest, longest := math.MaxInt, uint64(math.MaxUint64)
	for _, l := range a.waiting {
		if l.in < fewest || l.in == fewest && l.served < longest {
			least = l
			fewest, longest = l.in, l.served
		}
	}
	return least
}

// next lets the first job of a line in.
func (a *Admission) next(l *line) {
	let := l.queue[0]
	l.queue = l.queue[1:]
	a.admit(l)
	a.forget(l)
	close(let)
}

func (a *Admission) admit(l *line) {
	a.served++
	l.served = a.served
	l.in++
	a.in++
}

// forget forgets a line in which nobody waits, or nobody is at all.
func (a *Admission) forget(l *line) {
	if len(l.queue) > 0 {
		return
	}
	l.queue = nil
	a.waiting = slices.DeleteFunc(a.waiting, func(w *line) bool { return w == l })
	if l.in == 0 {
		delete(a.lines, l.share)
	}
}
