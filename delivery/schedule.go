package delivery

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/internal/servo"
)

// The names of the schedules that every engine knows.
const (
	ScheduleNone       = "none"       // one attempt
	SchedulePyWebhooks = "pywebhooks" // 4 attempts: 2 min, 2 min, 1 h
	ScheduleServo      = "servo"      // 12 attempts within 3 min
	ScheduleStandard   = "standard"   // 10 attempts over about 3 days; the default
	ScheduleSvix       = "svix"       // 8 attempts over about 28 h
)

const (
	maxScheduleDelays = 100
	maxScheduleDelay  = 7 * 24 * time.Hour
)

// Schedule says how often and when a delivery is attempted again. The zero value
// is one attempt.
type Schedule struct {
	// Delays are the waits between attempts: Delays[i] after failed attempt i+1,
	// so that there are len(Delays)+1 attempts in all. At most 100, each greater
	// than 0 and at most 7 days.
	Delays []time.Duration `json:"delays_ns"`

	// Jitter spreads each wait evenly over delay*(1-Jitter) to delay*(1+Jitter),
	// so that what failed together is not tried again together. 0 to 1; default
	// 0: exact.
	Jitter float64 `json:"jitter"`
}

func (s Schedule) validate() error {
	switch {
	case len(s.Delays) > maxScheduleDelays:
		return fmt.Errorf("Delays: %d are more than %d", len(s.Delays), maxScheduleDelays)
	case math.IsNaN(s.Jitter) || s.Jitter < 0 || s.Jitter > 1:
		return fmt.Errorf("Jitter: %v is not between 0 and 1", s.Jitter)
	}
	for i, delay := range s.Delays {
		if delay <= 0 || delay > maxScheduleDelay {
			return fmt.Errorf("Delays[%d]: %s is not greater than 0 and at most %s", i, delay, maxScheduleDelay)
		}
	}
	return nil
}

// PresetSchedules returns the schedules that every engine knows, by name. The
// map is the caller's.
func PresetSchedules() map[string]Schedule {
	return map[string]Schedule{
		ScheduleNone: {},
		SchedulePyWebhooks: {
			Delays: []time.Duration{2 * time.Minute, 2 * time.Minute, time.Hour},
		},
		ScheduleServo: servoSchedule(servo.Backoff{Tries: servo.DefaultTries, Time: servo.DefaultTime}),
		ScheduleStandard: {
			Delays: []time.Duration{
				5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
				10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
			},
			Jitter: 0.2,
		},
		ScheduleSvix: {
			Delays: []time.Duration{
				5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
				10 * time.Hour, 10 * time.Hour,
			},
			Jitter: 0.2,
		},
	}
}

func servoSchedule(b servo.Backoff) Schedule {
	return Schedule{Delays: b.Delays(), Jitter: servo.Jitter}
}

// schedules are those that an engine knows by name.
type schedules map[string]Schedule

// named also knows what a manifest makes of the backoff of servo-webhooks: "servo-5-30s" is
// at most 5 attempts within 30 s.
func (s schedules) named(name string) (Schedule, bool) {
	if schedule, ok := s[name]; ok {
		return schedule, true
	}
	b, ok := servo.Parse(name)
	if !ok {
		return Schedule{}, false
	}
	return servoSchedule(b), true
}

// mergeSchedules lays an application's own schedules over the presets. A malformed
// name and a bad schedule are errors that name the entry and the field.
func mergeSchedules(own map[string]Schedule) (map[string]Schedule, error) {
	for name, schedule := range own {
		if !validScheduleName(name) {
			return nil, fmt.Errorf("Schedules[%q]: a name is 1 to 64 of a-z, 0-9, _ and -", name)
		}
		if err := schedule.validate(); err != nil {
			return nil, fmt.Errorf("Schedules[%q].%w", name, err)
		}
	}
	merged := PresetSchedules()
	for name, schedule := range own {
		schedule.Delays = slices.Clone(schedule.Delays)
		merged[name] = schedule
	}
	return merged, nil
}

func validScheduleName(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
