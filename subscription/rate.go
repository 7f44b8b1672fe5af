package subscription

import (
	"fmt"
	"time"
)

const (
	// mostRateEvents is how many events a Rate may have in its time, and mostRateBurst how
	// many at once.
	mostRateEvents = 1_000_000
	mostRateBurst  = 10_000

	maxRatePer      = 24 * time.Hour
	maxRateASecond  = 10_000
	defaultRatePer  = time.Second
	maxBurstInTimes = 24 * time.Hour // what a burst may take at its rate
)

// Rate is how many events may be sent in a period. The zero Rate is no limit. Each request of a
// delivery counts, including retries; pings, challenges and the questions to gates do not. A
// delivery that exceeds the rate is held, and sent as soon as the rate allows, the oldest first; a
// new event can be sent before held ones. A Rate applies to all engines together, by the
// database's clock. The number of requests in any period exceeds it by at most 5 % and what the
// rate has in 20 ms.
type Rate struct {
	// Events is how many there may be in Per, on average: 1 to 1,000,000, and at most 10,000
	// a second. 0 is no limit of its own; the other fields must be zero then.
	Events int `json:"events"`

	// Per is the time that Events is for, 1 s to 24 h in whole milliseconds. Default: 1 s.
	Per time.Duration `json:"per_ns"`

	// Burst is how many may go out at once after a pause, 1 to 10,000, and no more than the
	// rate has in 24 h. Default: what the rate has in a second, at least 1.
	Burst int `json:"burst"`
}

// perSecond is 0 of a rate that is no limit.
func (r Rate) perSecond() float64 {
	if r.Events == 0 {
		return 0
	}
	return float64(r.Events) / r.Per.Seconds()
}

// isMoreThan says whether a rate lets more through than another, on average or at once.
func (r Rate) isMoreThan(other Rate) bool {
	switch {
	case other.Events == 0:
		return false
	case r.Events == 0:
		return true
	default:
		return r.perSecond() > other.perSecond() || r.Burst > other.Burst
	}
}

// filled is the rate with its defaults.
func (r Rate) filled() Rate {
	if r.Events == 0 {
		return r
	}
	if r.Per == 0 {
		r.Per = defaultRatePer
	}
	if r.Burst == 0 {
		r.Burst = min(max(int(int64(r.Events)*int64(time.Second)/int64(r.Per)), 1), mostRateBurst)
	}
	return r
}

// Check returns an [*InvalidError] that names the field that is refused, whatever the bound of
// a store is.
func (r Rate) Check() error {
	refuse := func(field, reason string, args ...any) error {
		return &InvalidError{Field: "Rate." + field, Reason: fmt.Sprintf(reason, args...)}
	}
	f := r.filled()
	switch {
	case r == Rate{}:
		return nil
	case r.Events < 1 || r.Events > mostRateEvents:
		return refuse("Events", "is %d; must be 1 to %d, or all zero for no limit", r.Events, mostRateEvents)
	case f.Per < defaultRatePer || f.Per > maxRatePer || f.Per%time.Millisecond != 0:
		return refuse("Per", "is %v; must be %v to %v in whole milliseconds, or 0 for the default", r.Per, defaultRatePer, maxRatePer)
	case f.perSecond() > maxRateASecond:
		return refuse("Events", "is %d in %v; must be at most %d in %v", r.Events, f.Per, maxRateASecond, time.Second)
	case f.Burst < 1 || f.Burst > mostRateBurst:
		return refuse("Burst", "is %d; must be 1 to %d, or 0 for the default", r.Burst, mostRateBurst)
	case float64(f.Burst) > f.perSecond()*maxBurstInTimes.Seconds() && f.Burst > 1:
		return refuse("Burst", "is %d; must be no more than the rate has in %v", r.Burst, maxBurstInTimes)
	default:
		return nil
	}
}

// checkRate refuses what is no rate, and what is more than MaxRate.
func (c Config) checkRate(rate *Rate) error {
	if rate == nil {
		return nil
	}
	r := *rate
	if err := r.Check(); err != nil {
		return err
	}
	f, most := r.filled(), c.MaxRate
	switch {
	case most.Events == 0 || f.Events == 0:
		return nil
	case f.perSecond() > most.perSecond():
		reason := fmt.Sprintf("is %d in %v; must be at most %d in %v", r.Events, f.Per, most.Events, most.Per)
		return &InvalidError{Field: "Rate.Events", Reason: reason}
	case r.Burst > most.Burst:
		return &InvalidError{Field: "Rate.Burst", Reason: fmt.Sprintf("is %d; must be at most %d", r.Burst, most.Burst)}
	default:
		return nil
	}
}
