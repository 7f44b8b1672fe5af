package delivery

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

func TestSchedule_PresetsWaitAsTheirDocumentationSays(t *testing.T) {
	t.Parallel()
	presets := PresetSchedules()

	for name, tc := range map[string]struct {
		attempts int
		total    time.Duration
		jitter   float64
	}{
		ScheduleNone:       {1, 0, 0},
		SchedulePyWebhooks: {4, time.Hour + 4*time.Minute, 0},
		ScheduleServo:      {12, 127 * time.Second, 0.3},
		ScheduleStandard:   {10, 75*time.Hour + 35*time.Minute + 5*time.Second, 0.2},
		ScheduleSvix:       {8, 27*time.Hour + 35*time.Minute + 5*time.Second, 0.2},
	} {
		schedule, ok := presets[name]
		require.True(t, ok, name)
		require.Equal(t, tc.attempts, len(schedule.Delays)+1, name)
		var total time.Duration
		for _, wait := range schedule.Delays {
			total += wait
		}
		require.Equal(t, tc.total, total, name)
		require.InDelta(t, tc.jitter, schedule.Jitter, 0, name)
		require.NoError(t, schedule.validate(), name)
		delete(presets, name)
	}
	require.Empty(t, presets)
}

func TestSchedule_WaitsOfStandardAreThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	require.Equal(t, []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}, PresetSchedules()[ScheduleStandard].Delays)
}

func TestSchedule_ServoEndsWithin3MinutesWhateverTheJitter(t *testing.T) {
	t.Parallel()
	longest := func() float64 { return math.Nextafter(1, 0) }
	var total time.Duration
	servo := attempt.Schedule(PresetSchedules()[ScheduleServo])
	for n := 1; ; n++ {
		wait, more := servo.Next(n, longest)
		if !more {
			break
		}
		total += wait
	}
	require.Greater(t, total, 2*time.Minute)
	require.LessOrEqual(t, total, 3*time.Minute)
}

func TestSchedule_PresetsBelongToTheCaller(t *testing.T) {
	t.Parallel()
	presets := PresetSchedules()
	presets[ScheduleStandard].Delays[0] = time.Nanosecond
	delete(presets, ScheduleNone)

	require.Equal(t, 5*time.Second, PresetSchedules()[ScheduleStandard].Delays[0])
	require.Contains(t, PresetSchedules(), ScheduleNone)
}

func TestSchedule_OwnOnesAreLaidOverThePresets(t *testing.T) {
	t.Parallel()
	own := map[string]Schedule{
		"soon":           {Delays: []time.Duration{time.Millisecond}},
		ScheduleStandard: {Delays: []time.Duration{time.Minute}},
	}
	merged, err := mergeSchedules(own)
	require.NoError(t, err)
	require.Len(t, merged, 6)
	require.Equal(t, time.Minute, merged[ScheduleStandard].Delays[0])

	own["soon"].Delays[0] = time.Hour
	require.Equal(t, time.Millisecond, merged["soon"].Delays[0], "the engine keeps nothing of the caller's")

	merged, err = mergeSchedules(nil)
	require.NoError(t, err)
	require.Equal(t, PresetSchedules(), merged)
}

func TestSchedule_ABadOneIsAnErrorThatNamesEntryAndField(t *testing.T) {
	t.Parallel()

	for wants, own := range map[string]map[string]Schedule{
		`Schedules[""]`:                   {"": {}},
		`Schedules["Soon"]`:               {"Soon": {}},
		`Schedules["so on"]`:              {"so on": {}},
		`Schedules["a"].Delays[1]: 0s`:    {"a": {Delays: []time.Duration{1, 0}}},
		`Schedules["a"].Delays[0]: -1ns`:  {"a": {Delays: []time.Duration{-1}}},
		`Schedules["a"].Delays[0]: 168h0`: {"a": {Delays: []time.Duration{maxScheduleDelay + 1}}},
		`Schedules["a"].Delays: 101`:      {"a": {Delays: make([]time.Duration, 101)}},
		`Schedules["a"].Jitter: -0.1`:     {"a": {Jitter: -0.1}},
		`Schedules["a"].Jitter: 1.1`:      {"a": {Jitter: 1.1}},
		`Schedules["a"].Jitter: NaN`:      {"a": {Jitter: math.NaN()}},
	} {
		_, err := mergeSchedules(own)
		require.ErrorContains(t, err, wants)
	}
}

func TestNamed_KnowsTheBackoffOfServo(t *testing.T) {
	t.Parallel()
	merged, err := mergeSchedules(map[string]Schedule{"servo-2-9s": {Delays: []time.Duration{time.Minute}}})
	require.NoError(t, err)
	known := schedules(merged)
	schedule, ok := known.named("servo-5-30s")
	require.True(t, ok)
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, schedule.Delays)
	require.InDelta(t, 0.3, schedule.Jitter, 0)
	require.NoError(t, schedule.validate())
	own, _ := known.named("servo-2-9s")
	require.Equal(t, []time.Duration{time.Minute}, own.Delays, "an application's own takes precedence")
	_, ok = known.named("servo-500-30s")
	require.False(t, ok)
}
