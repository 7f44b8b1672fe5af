package heartbeat

import (
	"sync"
	"time"
)

// clock is that of the database, as of the last heartbeat. Until then it is that of the
// process. The time since then is measured by what nobody sets.
type clock struct {
	local func() time.Time // of the process

	mu sync.Mutex
	at time.Time // by the database; zero before the first heartbeat
	by time.Time // by local, at that moment
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.by = at, c.local()
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.local()
	if c.at.IsZero() {
		return now
	}
	return c.at.Add(now.Sub(c.by))
}

// Now is the time of the database, to within the way of a heartbeat.
func (h *Heart) Now() time.Time { return h.clock.now() }

// SetClock replaces the clock of the process, for tests. It must be called before the
// first heartbeat.
func (h *Heart) SetClock(local func() time.Time) { h.clock.local = local }
