package servo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBackoff_TheDefaultDoublesTo16SecondsWithin3Minutes(t *testing.T) {
	t.Parallel()
	b := Backoff{Tries: DefaultTries, Time: DefaultTime}
	require.Equal(t, "servo", b.Name())
	s := time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 16 * s, 16 * s, 16 * s, 16 * s, 16 * s, 16 * s}, b.Delays())
}

func TestBackoff_EndsByWhicheverComesFirst(t *testing.T) {
	t.Parallel()
	s := time.Second
	for b, want := range map[Backoff][]time.Duration{
		{Tries: 1, Time: DefaultTime}:             {},
		{Tries: 3, Time: DefaultTime}:             {s, 2 * s},
		{Tries: 5, Time: 10 * s}:                  {s, 2 * s, 2 * s, 2 * s},
		{Tries: 50, Time: 5 * s}:                  {s, s, s},
		{Tries: 5, Time: 500 * time.Millisecond}:  {},
		{Tries: 2, Time: 1299 * time.Millisecond}: {},
		{Tries: 2, Time: 1300 * time.Millisecond}: {s},
	} {
		require.Equal(t, want, b.Delays(), "%+v", b)
	}
}

func TestBackoff_KeepsItsBoundsAndItsName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Tries: rapid.IntRange(1, MaxTries).Draw(t, "tries"),
			Time:  time.Duration(rapid.Int64Range(1, int64(MaxTime/time.Millisecond)).Draw(t, "ms")) * time.Millisecond,
		}
		require.Empty(t, b.Check())
		delays := b.Delays()
		require.Less(t, len(delays), b.Tries)
		longest := time.Duration(0)
		for _, delay := range delays {
			require.GreaterOrEqual(t, delay, time.Second)
			require.LessOrEqual(t, delay, MaxTime)
			longest += time.Duration(float64(delay) * (1 + Jitter))
		}
		require.LessOrEqual(t, longest, b.Time)
		require.LessOrEqual(t, len(b.Name()), 64)
		if b.Name() != DefaultName {
			parsed, ok := Parse(b.Name())
			require.True(t, ok)
			require.Equal(t, b, parsed)
		}
	})
}

func TestParse_OtherNamesAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "servo", "servo-", "servo-5", "servo-0-3s", "servo-102-3s", "servo-5-0s", "servo-5-1000ms", "servo-5-604801s",
		"servo-05-3s", "servo-5-03s", "servo-5-3m", "servo-5-3s ", "xservo-5-3s", "servo--5-3s", "servo-12-180s",
	} {
		_, ok := Parse(name)
		require.False(t, ok, name)
	}
	for _, b := range []Backoff{
		{0, time.Second}, {102, time.Second}, {1, 0}, {1, -time.Second}, {1, MaxTime + time.Second}, {1, time.Microsecond},
	} {
		require.NotEmpty(t, b.Check())
	}
}
