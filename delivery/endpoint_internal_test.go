package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

func newEndpoint() attempt.EndpointKey {
	return attempt.EndpointKey{SubscriptionID: uuid.New(), URLVersion: 1}
}

func TestAnEndpointHasNoMoreRequestsInFlightThanItsSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(2), newEndpoint()
		require.True(t, es.acquire(t.Context(), id, 0))
		require.True(t, es.acquire(t.Context(), id, 0))

		started := time.Now()
		require.False(t, es.acquire(t.Context(), id, 0))
		require.WithinRange(t, time.Now(), started.Add(newSlotWait), started.Add(newSlotWait+slotLook))

		other := newEndpoint()
		require.True(t, es.acquire(t.Context(), other, 0))
	})
}

func TestAFreedSlotGoesToWhoWaitsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(1), newEndpoint()
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
	es, id := newEndpoints(8), newEndpoint()
	require.True(t, es.acquire(t.Context(), id, 0))
	now := time.Now()
	es.learn(id, OutcomeThrottled, 0, now)
	require.Equal(t, 4, es.find(id).slots())
	es.learn(id, OutcomeThrottled, 0, now)
	require.Equal(t, 2, es.find(id).slots())
	for range 100 {
		es.learn(id, OutcomeDelivered, 0, now)
	}
	require.Equal(t, 8, es.find(id).slots())
}

func TestACircuitOpensOnFailuresInARowOrOnTheirShare(t *testing.T) {
	t.Parallel()
	open := func(outcomes ...Outcome) bool {
		es, id := newEndpoints(8), newEndpoint()
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
	es := newEndpoints(8)
	id := newEndpoint()
	now := time.Now()
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

// An endpoint that answers fast and then hangs: those who counted on its pace do
// not wait for the whole of slotWait.
func TestWhoWaitsForAnEndpointThatBeginsToHangIsSentAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(2), newEndpoint()
		require.True(t, es.acquire(t.Context(), id, 0))
		es.learn(id, OutcomeDelivered, 8*time.Millisecond, time.Now())
		require.True(t, es.acquire(t.Context(), id, 0))
		sentAway := make(chan time.Duration, 500)
		began := time.Now()
		for range cap(sentAway) {
			es.enter(t.Context(), id, 0, func(ok bool) {
				require.False(t, ok)
				sentAway <- time.Since(began)
			})
		}
		require.Empty(t, sentAway, "at its pace all have their turn within slotWait")
		for range cap(sentAway) - 10 {
			require.LessOrEqual(t, <-sentAway, 5*slotLook)
		}
		for range 10 {
			require.LessOrEqual(t, <-sentAway, slotWait+slotLook)
		}
	})
}

func TestWhoseContextEndsWaitsNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(1), newEndpoint()
		require.True(t, es.acquire(t.Context(), id, 0))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan bool, 1)
		es.enter(ctx, id, 0, func(ok bool) { got <- ok })
		cancel()
		began := time.Now()
		require.False(t, <-got)
		require.Zero(t, time.Since(began))
		es.leave(id)
		require.True(t, es.acquire(t.Context(), id, 0), "the slot did not go to who has left")
	})
}

func TestAnEndpointThatHasNotAnsweredYetKeepsFewWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		es, id := newEndpoints(1), newEndpoint()
		require.True(t, es.acquire(t.Context(), id, 0))
		sentAway := make(chan bool, newWaitingPerSlot+3)
		for range cap(sentAway) {
			es.enter(t.Context(), id, 0, func(ok bool) { sentAway <- ok })
		}
		require.Len(t, sentAway, 3)
		<-time.After(newSlotWait + 2*slotLook)
		synctest.Wait()
		require.Len(t, sentAway, cap(sentAway))
	})
}

// What is known of an endpoint is forgotten a while after it was used last, whatever
// state it was left in, and not while anybody has a slot of it.
func TestAge_SilentEndpointsAreForgotten(t *testing.T) {
	t.Parallel()
	es := newEndpoints(8)
	failing := newEndpoint()
	throttled := newEndpoint()
	busy := newEndpoint()
	for key, outcome := range map[attempt.EndpointKey]Outcome{
		failing:   OutcomeFailed,
		throttled: OutcomeThrottled,
		busy:      OutcomeFailed,
	} {
		require.True(t, es.acquire(t.Context(), key, 0))
		es.learn(key, outcome, time.Second, time.Now())
		es.turn(key, time.Now())
	}
	es.leave(failing)
	es.leave(throttled)
	newer := attempt.EndpointKey{SubscriptionID: busy.SubscriptionID, URLVersion: busy.URLVersion + 1}
	require.True(t, es.acquire(t.Context(), newer, 0))
	es.learn(newer, OutcomeFailed, time.Second, time.Now())
	es.leave(newer)

	es.age(time.Now().Add(endpointAge - time.Minute))
	require.Len(t, es.of, 3)
	es.age(time.Now().Add(endpointAge + time.Minute))
	require.Len(t, es.of, 1)
	require.Nil(t, es.find(newer))
	es.leave(busy)
	es.age(time.Now().Add(endpointAge + time.Minute))
	require.Empty(t, es.of)
}
