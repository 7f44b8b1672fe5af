package callbacks

import (
	"sync"
	"sync/atomic"
	"time"
)

// session bounds how long suspects have the host code of an engine for themselves
// before the others get their turn. One that has begun may take longer.
const session = time.Second

// exclusion lets many jobs call host code at once, or one suspect while no other job
// is in host code. Suspects that wait together run one after another in one session,
// so that the others have to end, and to wait, once for all of them.
type exclusion struct {
	calls   sync.RWMutex // read by host code, written by a session
	turn    sync.Mutex   // of the suspects
	waiting atomic.Int32 // suspects that want their turn
	begun   time.Time    // of the session; zero: there is none. Under turn
}

// shared calls f at the same time as others, but not as a suspect.
func (e *exclusion) shared(f func()) {
	e.calls.RLock()
	defer e.calls.RUnlock()
	f()
}

// exclusive calls f while nobody else is in shared or exclusive. Neither may be called
// from within the other.
func (e *exclusion) exclusive(f func()) {
	e.waiting.Add(1)
	e.turn.Lock()
	defer e.turn.Unlock()
	e.waiting.Add(-1)
	if e.begun.IsZero() {
		e.calls.Lock()
		e.begun = time.Now()
	}
	defer func() {
		if e.waiting.Load() == 0 || time.Since(e.begun) > session {
			e.begun = time.Time{}
			e.calls.Unlock()
		}
	}()
	f()
}
