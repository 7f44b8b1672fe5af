// Package servo has what servo-webhooks lets be configured of its retries, in the form in
// which a manifest hands it to an engine: the name of a schedule.
package servo

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// The bounds of a Backoff, and what servo-webhooks has where nothing is said.
const (
	MaxTries = 101 // a schedule has at most 100 waits
	MaxTime  = 7 * 24 * time.Hour

	DefaultTries = 12
	DefaultTime  = 3 * time.Minute
)

// DefaultName is the name of the default.
const DefaultName = "servo"

// Jitter is what each wait is spread by, both ways.
const Jitter = 0.3

// Backoff is at most Tries attempts, all of them within Time.
type Backoff struct {
	Tries int           // 1 to MaxTries
	Time  time.Duration // whole milliseconds, up to MaxTime
}

// Check says what is wrong; "" is nothing.
func (b Backoff) Check() string {
	switch {
	case b.Tries < 1 || b.Tries > MaxTries:
		return fmt.Sprintf("max_tries must be 1 to %d", MaxTries)
	case b.Time < time.Millisecond || b.Time > MaxTime || b.Time%time.Millisecond != 0:
		return "max_time must be 1ms to 168h, in whole milliseconds"
	default:
		return ""
	}
}

// Name is that of the schedule: "servo-5-30s" for 5 tries within 30 s.
func (b Backoff) Name() string {
	switch {
	case b == Backoff{Tries: DefaultTries, Time: DefaultTime}:
		return DefaultName
	case b.Time%time.Second == 0:
		return fmt.Sprintf("servo-%d-%ds", b.Tries, b.Time/time.Second)
	default:
		return fmt.Sprintf("servo-%d-%dms", b.Tries, b.Time/time.Millisecond)
	}
}

var named = regexp.MustCompile(`^servo-([1-9]\d{0,2})-([1-9]\d{0,8}(?:s|ms))$`)

// Parse is the reverse of Name, but for the default. It is false of every other name.
func Parse(name string) (Backoff, bool) {
	m := named.FindStringSubmatch(name)
	if m == nil {
		return Backoff{}, false
	}
	tries, _ := strconv.Atoi(m[1])        // of digits, at most 3
	within, _ := time.ParseDuration(m[2]) // of digits and a unit
	b := Backoff{Tries: tries, Time: within}
	return b, b.Check() == "" && b.Name() == name
}

// Delays are the waits between the attempts. They double from 1 s to a ceiling that leaves
// all of them within the time when jitter makes each as long as it can. Where not even
// waits of 1 s fit there are as many of these as do.
func (b Backoff) Delays() []time.Duration {
	budget := time.Duration(float64(b.Time) / (1 + Jitter))
	best := repeat(min(b.Tries-1, int(budget/time.Second)), time.Second)
	if len(best) < b.Tries-1 {
		return best
	}
	for ceiling := 2 * time.Second; ceiling <= MaxTime; ceiling *= 2 {
		delays := repeat(b.Tries-1, ceiling)
		total := time.Duration(0)
		for _, delay := range delays {
			total += delay
		}
		if total > budget {
			break
		}
		best = delays
	}
	return best
}

// repeat doubles from 1 s to the ceiling.
func repeat(n int, ceiling time.Duration) []time.Duration {
	delays := make([]time.Duration, n)
	delay := time.Second
	for i := range delays {
		delays[i] = delay
		delay = min(2*delay, ceiling)
	}
	return delays
}
