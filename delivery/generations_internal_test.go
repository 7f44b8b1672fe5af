package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsAskedForStaysAndTheRestIsForgotten(t *testing.T) {
	t.Parallel()
	var forgotten []int
	g := newGenerations[string](2, time.Minute, func(v int) { forgotten = append(forgotten, v) })
	put := func(key string, value int) int {
		return g.put(key, func(known int, ok bool) int {
			if ok {
				return known
			}
			return value
		})
	}

	require.Equal(t, 1, put("a", 1))
	require.Equal(t, 1, put("a", 9), "it is remembered")
	put("b", 2)
	put("c", 3) // a and b are old now
	known, ok := g.get("a")
	require.True(t, ok)
	require.Equal(t, 1, known)
	put("d", 4) // b was not asked for
	require.Equal(t, []int{2}, forgotten)
	_, ok = g.get("b")
	require.False(t, ok)

	for range 10 {
		put("a", 9)
		put("d", 9)
	}
	require.Equal(t, []int{2}, forgotten, "what is asked for all the time stays")
	require.LessOrEqual(t, len(g.young)+len(g.old), 2*2)
}

func TestWhatNobodyAsksForIsForgottenInTime(t *testing.T) {
	t.Parallel()
	var forgotten []int
	g := newGenerations[string](10, time.Minute, func(v int) { forgotten = append(forgotten, v) })
	now := g.turned
	g.put("a", func(int, bool) int { return 1 })
	g.put("b", func(int, bool) int { return 2 })

	g.age(now.Add(59 * time.Second))
	require.Empty(t, g.old)
	g.age(now.Add(time.Minute))
	_, ok := g.get("a")
	require.True(t, ok)
	g.age(now.Add(2 * time.Minute))
	require.Equal(t, []int{2}, forgotten)
	g.clear()
	require.Equal(t, []int{2, 1}, forgotten)
}
