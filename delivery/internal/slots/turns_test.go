package slots

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	loud  = Share{Name: "/loud"}
	quiet = Share{Name: "/quiet"}
)

// fill has a share take all slots that it gets without waiting.
func fill(t *Turns, of Share) (taken []Slot) {
	for {
		s, w := t.enter(of, true, time.Now())
		if w != nil {
			t.giveUp(s, w)
			return taken
		}
		taken = append(taken, Slot{
			turns: t,
			share: s,
			since: time.Now(),
		})
	}
}

// later is what the wait of another for a slot comes to.
func later(ctx context.Context, t *Turns, of Share) <-chan bool {
	got := make(chan bool, 1)
	go func() {
		_, ok := t.Acquire(ctx, of)
		got <- ok
	}()
	synctest.Wait()
	return got
}

func TestTurns_OneShareAloneGetsAllButTheReserve(t *testing.T) {
	t.Parallel()
	for slots, alone := range map[int]int{
		1:   1,
		2:   1,
		8:   7,
		512: 448,
	} {
		turns := NewTurns(slots)
		require.Len(t, fill(turns, loud), alone, slots)
		require.Equal(t, alone, turns.InUse())
	}
}

// Each share takes half of what the ones before it have left of the reserve, so there is a
// slot for the next one, until it is used up.
func TestTurns_TheReserveIsForSharesThatHaveFew(t *testing.T) {
	t.Parallel()
	turns := NewTurns(64)
	require.Len(t, fill(turns, loud), 56)
	require.Len(t, fill(turns, quiet), 4)
	require.Len(t, fill(turns, Share{Name: "/loud", Urgent: true}), 2, "questions beside the deliveries of their share")
	require.Len(t, fill(turns, Share{Name: "/a"}), 1)
	require.Len(t, fill(turns, Share{Name: "/b"}), 1)
	require.Empty(t, fill(turns, Share{Name: "/c"}))
	require.Equal(t, 64, turns.InUse())
}

func TestTurns_AFreedSlotGoesToTheShareWithTheFewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(3) // two, and one in reserve
		taken := fill(turns, loud)
		require.Len(t, taken, 2)
		require.Len(t, fill(turns, quiet), 1)
		again := later(t.Context(), turns, loud)
		other := later(t.Context(), turns, Share{Name: "/other"})
		taken[0].Leave()
		synctest.Wait()
		require.Len(t, other, 1, "it has none, and came last")
		require.Empty(t, again)
		taken[1].Leave()
		synctest.Wait()
		require.Len(t, again, 1)
	})
}

func TestTurns_NoSlotAfterTheContextHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1)
		slot, _ := turns.Acquire(t.Context(), loud)
		ctx, cancel := context.WithCancel(t.Context())
		got := later(ctx, turns, loud)
		cancel()
		require.False(t, <-got)
		slot.Leave()
		require.Zero(t, turns.InUse(), "the wait that ended took no slot")
	})
}

// A share whose answers are slow, be they good ones, has few of its attempts wait.
func TestTurns_WhatIsFarOffByThePaceOfItsShareDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(11) // 10 and one in reserve
		for _, slot := range fill(turns, loud) {
			slot.since = slot.since.Add(-10 * time.Second)
			slot.Leave()
		}
		taken := fill(turns, loud)
		require.Len(t, taken, 10)
		waiting := make([]<-chan bool, 5)
		for i := range waiting {
			waiting[i] = later(t.Context(), turns, loud)
		}
		for i, got := range waiting {
			if i < 3 { // one a second
				require.Empty(t, got)
			} else {
				require.False(t, <-got)
			}
		}
		began := time.Now()
		for i := range 3 {
			require.False(t, <-waiting[2-i], "no slot is given back")
			require.LessOrEqual(t, time.Since(began), slotWait+lookInterval)
		}
	})
}

// While a share has less than its part its attempts wait, however long that takes.
func TestTurns_AShareThatHasLessThanItsPartIsNotSentAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(9) // 8 and one in reserve
		taken := fill(turns, loud)
		last := fill(turns, quiet)
		require.Len(t, last, 1)
		waiting := []<-chan bool{later(t.Context(), turns, quiet), later(t.Context(), turns, quiet), later(t.Context(), turns, quiet)}
		<-time.After(time.Minute)
		synctest.Wait()
		for _, got := range waiting {
			require.Empty(t, got)
		}
		require.False(t, <-later(t.Context(), turns, quiet), "half of eight is its part")
		taken[0].Leave() // the reserve is free again
		for i, got := range waiting {
			require.Empty(t, got)
			taken[1+i].Leave()
			synctest.Wait()
			require.Len(t, got, 1)
		}
	})
}

// What waits for a slot of its endpoint counts for its share.
func TestTurns_WaitingAtEndpointsCounts(t *testing.T) {
	t.Parallel()
	turns := NewTurns(9)
	now := time.Now()
	for range newWaitingPerSlot {
		require.True(t, turns.queue(loud, now))
	}
	turns.get(loud).took = time.Hour
	require.False(t, turns.queue(loud, now))
	require.True(t, turns.queue(quiet, now))
	turns.unqueue(loud)
	require.False(t, turns.queue(loud, now), "half of eight is its part")
	for range 4 {
		turns.unqueue(loud)
	}
	require.True(t, turns.queue(loud, now))
}

func TestTurns_DropsSharesThatAreNotUsed(t *testing.T) {
	t.Parallel()
	turns := NewTurns(8)
	slot, _ := turns.Acquire(t.Context(), loud)
	other, _ := turns.Acquire(t.Context(), quiet)
	other.Leave()
	turns.DropUnused(time.Now().Add(endpointAge - time.Minute))
	require.Len(t, turns.known, 2)
	turns.DropUnused(time.Now().Add(endpointAge + time.Minute))
	require.Len(t, turns.known, 1)
	slot.Leave()
	turns.DropUnused(time.Now().Add(endpointAge + time.Minute))
	require.Empty(t, turns.known)
}

func TestDefaultShare_IsTheFirstSegmentAndAtTheRootTheOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ site, owner, share string }{
		{"/noaa/nws/oun", "ann", "/noaa"},
		{"/noaa", "ann", "/noaa"},
		{"/", "ann", "ann"},
		{"", "ann", "ann"},
		{"/", "/noaa", " /noaa"},
		{"/", "", "/"},
	} {
		require.Equal(t, c.share, DefaultShare(c.site, c.owner), c)
	}
}
