package attempt

import "time"

// These bound what a Rate says, whoever has made it: the product of its fields is no more
// than a Duration holds.
const (
	mostPer   = 24 * time.Hour
	mostBurst = 10_000
)

// Rate is how often requests may go out. The zero Rate is no limit.
type Rate struct {
	Every time.Duration // from one request to the next, on average, in whole microseconds
	Burst int           // how many may go out at once
}

// NewRate is so many events in a time (0: a second), and up to burst at once; no events: no
// limit. With a burst of 0 as many may go out at once as the rate has in a second, at least
// one.
func NewRate(events int, per time.Duration, burst int) Rate {
	if events <= 0 {
		return Rate{}
	}
	if per <= 0 {
		per = time.Second
	}
	per = min(per, mostPer)
	every := (per + time.Duration(events) - 1) / time.Duration(events)
	if every = (every + time.Microsecond - 1).Truncate(time.Microsecond); every == 0 {
		every = time.Microsecond
	}
	if burst <= 0 {
		burst = max(int(time.Second/every), 1)
	}
	return Rate{Every: every, Burst: min(burst, mostBurst)}
}

// IsLimit is false of the zero Rate.
func (r Rate) IsLimit() bool { return r.Every > 0 }

// Within is the rate, or what most leaves of it.
func (r Rate) Within(most Rate) Rate {
	switch {
	case !most.IsLimit():
		return r
	case !r.IsLimit():
		return most
	default:
		return Rate{Every: max(r.Every, most.Every), Burst: min(r.Burst, most.Burst)}
	}
}
