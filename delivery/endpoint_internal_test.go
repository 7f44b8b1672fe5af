package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestAnEndpointHasNoMoreRequestsInFlightThanItsSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(2, 500), uuid.New()
		require.True(t, es.acquire(t.Context(), id, 0))
		require.True(t, es.acquire(t.Context(), id, 0))

		started := time.Now()
		require.False(t, es.acquire(t.Context(), id, 0))
		require.Equal(t, newSlotWait, time.Since(started))

		other := uuid.New()
		require.True(t, es.acquire(t.Context(), other, 0))
	})
}

func TestAFreedSlotGoesToWhoWaitsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(1, 500), uuid.New()
		require.True(t, es.acquire(t.Context(), id, 0))
		got := make(chan int, 2)
		for i := range 2 {
			go func() {
				if es.acquire(t.Context(), id, 0) {
					got <- i
				}
			}()
			synctest.Wait()
		}
		es.leave(id)
		require.Equal(t, 0, <-got)
		es.leave(id)
		require.Equal(t, 1, <-got)
	})
}

func TestThrottlingHalvesTheSlotsAndSuccessGrowsThemBack(t *testing.T) {
	t.Parallel()
	es, id := newEndpoints(8, 500), uuid.New()
	require.True(t, es.acquire(t.Context(), id, 0))
	now := time.Now()
	es.learn(id, OutcomeThrottled, 0, now)
	require.Equal(t, 4, es.of[id].slots())
	es.learn(id, OutcomeThrottled, 0, now)
	require.Equal(t, 2, es.of[id].slots())
	for range 100 {
		es.learn(id, OutcomeDelivered, 0, now)
	}
	require.Equal(t, 8, es.of[id].slots())
}

func TestACircuitOpensOnFailuresInARowOrOnTheirShare(t *testing.T) {
	t.Parallel()
	open := func(outcomes ...Outcome) bool {
		es, id := newEndpoints(8, 500), uuid.New()
		es.acquire(t.Context(), id, 0)
		opened := false
		for _, o := range outcomes {
			opened = es.learn(id, o, 0, time.Unix(1, 0)) || opened
		}
		return opened
	}
	bad, good := OutcomeFailed, OutcomeDelivered
	require.False(t, open(bad, bad, bad, bad))
	require.True(t, open(bad, bad, bad, bad, bad))
	require.False(t, open(bad, bad, bad, bad, good, bad, bad, bad, bad))
	require.False(t, open(OutcomeRejected, OutcomeRejected, OutcomeRejected, OutcomeRejected, OutcomeRejected))
	mixed := make([]Outcome, 0, circuitSample)
	for range circuitSample / 2 {
		mixed = append(mixed, good, bad)
	}
	require.True(t, open(mixed...))
}

func TestThePauseOfACircuitDoublesUpToItsBound(t *testing.T) {
	t.Parallel()
	middle := func() float64 { return 0.5 }
	require.Equal(t, 5*time.Second, pauseAfter(0, middle))
	require.Equal(t, 10*time.Second, pauseAfter(1, middle))
	require.Equal(t, 10*time.Minute, pauseAfter(50, middle))
}

func TestHeldDeliveriesAreReleasedWhenAShareOfTheSlotsIsFree(t *testing.T) {
	t.Parallel()
	es, id, now := newEndpoints(8, 500), uuid.New(), time.Now()
	require.Zero(t, es.wantsRelease(id, now), "an endpoint that nobody knows")
	require.Equal(t, 8, es.offer(id, 0, now))
	require.Zero(t, es.wantsRelease(id, now), "while another releases")
	es.released(id, 8, 8, now)
	require.Zero(t, es.wantsRelease(id, now), "the released ones are on their way")
	for range 8 {
		require.True(t, es.acquire(t.Context(), id, 0))
	}
	es.leave(id)
	require.Zero(t, es.wantsRelease(id, now), "one slot is not worth a statement")
	es.leave(id)
	require.Equal(t, 2, es.wantsRelease(id, now))
	es.released(id, 2, 0, now)
	require.Zero(t, es.wantsRelease(id, now), "nothing is held any more")
}
