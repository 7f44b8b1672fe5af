package attempt

import "time"

// Schedule says when a failed attempt is repeated: Delays[i] is the wait after failed
// attempt i+1, which Jitter (0 to 1) spreads evenly over delay*(1-Jitter) to
// delay*(1+Jitter). Package delivery checks and documents it.
type Schedule struct {
	Delays []time.Duration
	Jitter float64
}

// Next is the wait after failed attempt n, counted from 1; false when the schedule is
// exhausted. rnd returns an even number in [0, 1).
func (s Schedule) Next(n int, rnd func() float64) (time.Duration, bool) {
	if n < 1 || n > len(s.Delays) {
		return 0, false
	}
	delay := s.Delays[n-1]
	if s.Jitter == 0 {
		return delay, true
	}
	return time.Duration(float64(delay) * (1 + s.Jitter*(2*rnd()-1))), true
}
