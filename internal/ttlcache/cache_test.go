package ttlcache_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/ttlcache"
)

func keep(value int) func(int, bool) int {
	return func(known int, ok bool) int {
		if ok {
			return known
		}
		return value
	}
}

func TestUpdate_EvictsWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	var evicted []int
	c := ttlcache.New(ttlcache.Config[string, int]{
		OnEvict: func(v int) { evicted = append(evicted, v) },
		Size:    2,
	}, time.Now())

	require.Equal(t, 1, c.Update("a", keep(1)))
	require.Equal(t, 1, c.Update("a", keep(9)), "it is known")
	c.Update("b", keep(2))
	c.Update("c", keep(3)) // a and b are in the former generation now
	known, ok := c.Get("a")
	require.True(t, ok)
	require.Equal(t, 1, known)
	c.Update("d", keep(4)) // b was not used
	require.Equal(t, []int{2}, evicted)
	_, ok = c.Get("b")
	require.False(t, ok)

	for range 10 {
		c.Update("a", keep(9))
		c.Update("d", keep(9))
	}
	require.Equal(t, []int{2}, evicted, "what is used all the time stays")
	require.LessOrEqual(t, c.Len(), 2*2)
}

func TestUpdate_CountsCosts(t *testing.T) {
	t.Parallel()
	c := ttlcache.New(ttlcache.Config[string, int]{
		Cost: func(key string) int { return len(key) },
		Size: 10,
	}, time.Now())
	c.Update("four", keep(1))
	c.Update("another", keep(2)) // 11 in all
	c.Update("eight888", keep(3))
	_, ok := c.Get("four")
	require.False(t, ok)
	require.Equal(t, 2, c.Len())
}

func TestExpire_EvictsWhatIsNotUsedInTime(t *testing.T) {
	t.Parallel()
	var evicted []int
	now := time.Now()
	c := ttlcache.New(ttlcache.Config[string, int]{
		OnEvict: func(v int) { evicted = append(evicted, v) },
		Size:    10,
		TTL:     time.Minute,
	}, now)
	c.Update("a", keep(1))
	c.Update("b", keep(2))

	c.Expire(now.Add(time.Minute))
	_, ok := c.Get("a")
	require.True(t, ok)
	c.Expire(now.Add(2*time.Minute - time.Second))
	require.Empty(t, evicted, "too early for another generation")
	c.Expire(now.Add(2 * time.Minute))
	require.Equal(t, []int{2}, evicted)
	c.Clear()
	require.Equal(t, []int{2, 1}, evicted)
	require.Zero(t, c.Len())
}

func TestExpire_LeavesACacheWithoutTTLAlone(t *testing.T) {
	t.Parallel()
	c := ttlcache.New(ttlcache.Config[string, int]{Size: 10}, time.Time{})
	c.Update("a", keep(1))
	for range 3 {
		c.Expire(time.Now())
	}
	require.Equal(t, 1, c.Len())
}
