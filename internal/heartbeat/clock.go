package heartbeat

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// clock is that of the database, as of the last heartbeat or Learn. Until then it is that of
// the process. The time since then is measured by the monotonic clock.
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

func (c *clock) isSet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero()
}

// Now is the time of the database, to within the way of a heartbeat. Before the first
// heartbeat, and before Learn, it is that of the process.
func (h *Heart) Now() time.Time { return h.clock.now() }

// Learn reads the clock of the database, unless it is known: for a process without a
// heartbeat.
func (h *Heart) Learn(ctx context.Context) error {
	if h.clock.isSet() {
		return nil
	}
	now, err := h.store.ReadClock(ctx)
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	h.clock.set(now)
	return nil
}

// SetClock replaces the clock of the process, for tests. It must be called before the
// first heartbeat.
func (h *Heart) SetClock(local func() time.Time) { h.clock.local = local }
