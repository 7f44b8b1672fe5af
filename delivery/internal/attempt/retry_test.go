package attempt

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func scheduleGenerator() *rapid.Generator[Schedule] {
	return rapid.Custom(func(t *rapid.T) Schedule {
		delays := rapid.SliceOfN(rapid.Int64Range(1, int64(7*24*time.Hour)), 0, 100).Draw(t, "delays")
		s := Schedule{Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter")}
		for _, delay := range delays {
			s.Delays = append(s.Delays, time.Duration(delay))
		}
		return s
	})
}

func TestSchedule_GivesEachWaitOnceWithinItsJitterAndThenEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := scheduleGenerator().Draw(rt, "schedule")
		rnd := func() float64 { return rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(rt, "rnd") }

		for n := 1; n <= len(s.Delays); n++ {
			wait, more := s.Next(n, rnd)
			require.True(rt, more)
			delay := float64(s.Delays[n-1])
			require.GreaterOrEqual(rt, float64(wait), math.Floor(delay*(1-s.Jitter)))
			require.LessOrEqual(rt, float64(wait), delay*(1+s.Jitter))
			require.GreaterOrEqual(rt, wait, time.Duration(0))
			if s.Jitter == 0 {
				require.Equal(rt, s.Delays[n-1], wait)
			}
		}
		for _, n := range []int{len(s.Delays) + 1, len(s.Delays) + 2, math.MaxInt, 0, -1} {
			_, more := s.Next(n, rnd)
			require.False(rt, more, "attempt %d", n)
		}
	})
}

func TestSchedule_JitterReachesBothEndsAndIsEven(t *testing.T) {
	t.Parallel()
	s := Schedule{Delays: []time.Duration{100 * time.Second}, Jitter: 0.2}

	for rnd, seconds := range map[float64]float64{0: 80, 0.25: 90, 0.5: 100, 0.75: 110} {
		wait, more := s.Next(1, func() float64 { return rnd })
		require.True(t, more)
		require.InDelta(t, seconds, wait.Seconds(), 0.001)
	}
}
