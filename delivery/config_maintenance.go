package delivery

import (
	"fmt"
	"time"
)

// Maintenance says when an engine does what no job does.
type Maintenance struct {
	// Interval is the time between two rounds: the release of held deliveries, probes
	// of circuits, lost jobs, deactivation, pruning. At least 1 ms. A round releases what a
	// rate has for 4 s at most: with more than 4 s between two rounds, what is held for a
	// rate goes out slower than that. Default: 1 s.
	Interval time.Duration

	// MaxHold is how long a delivery may be held before it expires, and a decision before it
	// has failed, counted from when the wait began. At least 1 s. Default: 30 days.
	MaxHold time.Duration

	// ReevaluateAfter is the wait before a decision that could not be made is tried
	// again; it grows with the age of the decision up to 5 minutes. It is also the wait before
	// the first probe of a Cause, which doubles up to 5 minutes. Default: 5 s.
	ReevaluateAfter time.Duration
}

func (m *Maintenance) fill() {
	def(&m.Interval, time.Second)
	def(&m.MaxHold, 30*24*time.Hour)
	def(&m.ReevaluateAfter, 5*time.Second)
}

// problem says what is wrong with a field; "" if nothing is.
func (m *Maintenance) problem() string {
	switch {
	case m.Interval < time.Millisecond:
		return "Interval: " + tooShort(m.Interval)
	case m.MaxHold < time.Second:
		return fmt.Sprintf("MaxHold: is %s; must be at least 1 s", m.MaxHold)
	case m.ReevaluateAfter < 0:
		return "ReevaluateAfter: must not be negative"
	default:
		return ""
	}
}
