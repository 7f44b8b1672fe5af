package delivery

import (
	"sync"
	"time"
)

// retrospect is the part of the time since a RunDue began to look ahead that passes, at
// most, before what waits for this system is tried again: trouble that lasts for days
// is met some dozens of times, and not twice a minute.
const retrospect = 4

// ahead is how far RunDue has moved an engine ahead of its clock. The database is not
// ahead: what waits there was made older instead.
type ahead struct {
	mu    sync.Mutex
	moved time.Duration // in all
	run   time.Duration // by the run that is looking ahead
	left  time.Duration // of what that one looks ahead
}

func (a *ahead) begin(left time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.run, a.left = 0, left
}

func (a *ahead) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moved += d
	a.run += d
	a.left -= d
}

// now is the time by which the engine forgets what it has learned.
func (e *Engine) now() time.Time {
	e.ahead.mu.Lock()
	defer e.ahead.mu.Unlock()
	return time.Now().Add(e.ahead.moved)
}

// troubleWait is the wait after trouble that is not the endpoint's, such as that of a
// checker. It is longer while RunDue looks ahead, but never goes past the end of that.
func (e *Engine) troubleWait(wait time.Duration) time.Duration {
	e.ahead.mu.Lock()
	defer e.ahead.mu.Unlock()
	return max(wait, min(e.ahead.run/retrospect, e.ahead.left))
}
