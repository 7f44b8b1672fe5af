package drain

import (
	"sync"
	"time"
)

// retrospect is the part of the time since a run began to look ahead that passes, at
// most, before what waits for this system is tried again: trouble that lasts for days
// is met some dozens of times, and not twice a minute.
const retrospect = 4

// Clock is the clock of an engine, which runs of a Drainer move ahead. The database is not
// ahead: what waits there was made older instead. The zero Clock is not ahead; it is safe
// for concurrent use.
type Clock struct {
	mu    sync.Mutex
	moved time.Duration // in all
	run   time.Duration // by the run that is looking ahead
	left  time.Duration // of what that one looks ahead
}

// begin starts a run that looks so far ahead.
func (c *Clock) begin(left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run, c.left = 0, left
}

// pass lets time pass.
func (c *Clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
	c.run += d
	c.left -= d
}

// Now is the time by which an engine forgets what it has learned.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.moved)
}

// TroubleWait is the wait after trouble that is not the endpoint's, such as that of a
// checker. It is longer than wait while a run looks ahead, but never continues after the
// end of that.
func (c *Clock) TroubleWait(wait time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(wait, min(c.run/retrospect, c.left))
}
