package slots

import "context"

// Process bounds the requests that one process has in flight. It is safe for concurrent
// use.
type Process struct {
	taken chan struct{}
	leave func()
}

// NewProcess makes a Process with so many slots.
func NewProcess(slots int) *Process {
	p := &Process{taken: make(chan struct{}, slots)}
	p.leave = func() { <-p.taken }
	return p
}

// Acquire waits for a slot. The caller gives it back by leave, exactly once. After ctx
// has ended it may return ok false: then there is no slot, and leave is nil.
func (p *Process) Acquire(ctx context.Context) (leave func(), ok bool) {
	select {
	case p.taken <- struct{}{}:
		return p.leave, true
	case <-ctx.Done():
		return nil, false
	}
}
