package send

import (
	"cmp"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/dialect"
)

// Schedules finds the schedule of a delivery: that which its subscription names, or else
// its dialect, or else the default.
type Schedules struct {
	Default  string
	Dialects *dialect.Registry
	Named    func(name string) (attempt.Schedule, bool)
	Random   func() float64 // for the jitter, in [0, 1)
}

// of returns the schedule of a delivery and its name; false if this process does not know
// it.
func (s *Schedules) of(in *Input) (schedule attempt.Schedule, name string, ok bool) {
	name = cmp.Or(in.Sub.Schedule, s.OfDialect(in.Dialect), s.Default)
	schedule, ok = s.Named(name)
	return schedule, name, ok
}

// OfDialect is the name of the schedule that a dialect brings; "" if it brings none.
func (s *Schedules) OfDialect(name string) string {
	d, _ := s.Dialects.Get(name)
	if scheduled, ok := d.(dialect.Scheduled); ok {
		return scheduled.Schedule()
	}
	return ""
}
