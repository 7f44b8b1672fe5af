package delivery

import (
	"sync"
	"sync/atomic"
	"time"
)

// session bounds how long suspects have the host code of an engine for themselves
// before the others get their turn. One that has begun may take longer.
const session = time.Second

// quiet lets host code be called by many jobs at once, or by one suspect while no
// other job is in host code. Suspects that wait together run one after another in one
// session, so that the others have to end, and to wait, once for all of them.
type quiet struct {
	calls   sync.RWMutex // read by host code, written by a session
	turn    sync.Mutex   // of the suspects
	waiting atomic.Int32 // suspects that want their turn
	begun   time.Time    // of the session; zero: there is none. Under turn

	mu      sync.Mutex
	marked  *suspect               // in a step that is written down
	back    map[run]map[string]int // what is true of runs that came back and could not write that down, by step
	stopped bool                   // what ends the process from now on is nobody's fault
}

// beside calls f beside others, but no suspect.
func (q *quiet) beside(f func()) {
	q.calls.RLock()
	defer q.calls.RUnlock()
	f()
}

// alone calls f while nobody else is in beside or alone. Both must not be called from
// within each other.
func (q *quiet) alone(f func()) {
	q.waiting.Add(1)
	q.turn.Lock()
	defer q.turn.Unlock()
	waiting := q.waiting.Add(-1)
	if q.begun.IsZero() {
		q.calls.Lock()
		q.begun = time.Now()
	}
	defer func() {
		if waiting = q.waiting.Load(); waiting == 0 || time.Since(q.begun) > session {
			q.begun = time.Time{}
			q.calls.Unlock()
		}
	}()
	f()
}
