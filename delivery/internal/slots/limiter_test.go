package slots

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// newEndpoint is the target of an attempt, at an endpoint of its own.
func newEndpoint() *attempt.Target {
	return &attempt.Target{Share: "/acme", Sub: attempt.Subscription{ID: uuid.New(), URLVersion: 1}}
}

// middle is a random number that leaves every pause as it is.
func middle() float64 { return 0.5 }

// newLimiter makes a Limiter with so many slots for each endpoint, and for none more than 64.
func newLimiter(slots int) *Limiter {
	return NewLimiter(LimiterConfig{
		Slots:    slots,
		MaxSlots: 64,
		Process:  NewTurns(1000),
		Now:      time.Now,
		Random:   middle,
	})
}

func TestLimiter_ASubscriptionGetsNoMoreSlotsThanTheMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(2), newEndpoint()
		id.Sub.MaxInFlight = 1000
		for range 64 {
			require.True(t, l.Acquire(t.Context(), id))
		}
		require.False(t, l.Acquire(t.Context(), id))
	})
}

func TestLimiter_AnEndpointHasNoMoreRequestsInFlightThanSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(2), newEndpoint()
		require.True(t, l.Acquire(t.Context(), id))
		require.True(t, l.Acquire(t.Context(), id))

		started := time.Now()
		require.False(t, l.Acquire(t.Context(), id))
		require.WithinRange(t, time.Now(), started.Add(newSlotWait), started.Add(newSlotWait+lookInterval))

		other := newEndpoint()
		require.True(t, l.Acquire(t.Context(), other))
	})
}

func TestLimiter_AFreedSlotGoesToTheAttemptThatWaitsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(1), newEndpoint()
		require.True(t, l.Acquire(t.Context(), id))
		got := make(chan int, 2)
		for i := range 2 {
			go func() {
				if l.Acquire(t.Context(), id) {
					got <- i
				}
			}()
			synctest.Wait()
		}
		l.Leave(id.EndpointKey())
		require.Equal(t, 0, <-got)
		l.Leave(id.EndpointKey())
		require.Equal(t, 1, <-got)
	})
}

func TestLimiter_ThrottlingHalvesTheSlotsAndSuccessGrowsThemBack(t *testing.T) {
	t.Parallel()
	l, id := newLimiter(8), newEndpoint()
	require.True(t, l.Acquire(t.Context(), id))
	now := time.Now()
	l.learn(id.EndpointKey(), attempt.OutcomeThrottled, 0, now)
	require.Equal(t, 4, l.find(id.EndpointKey()).slots())
	l.learn(id.EndpointKey(), attempt.OutcomeThrottled, 0, now)
	require.Equal(t, 2, l.find(id.EndpointKey()).slots())
	for range 100 {
		l.learn(id.EndpointKey(), attempt.OutcomeDelivered, 0, now)
	}
	require.Equal(t, 8, l.find(id.EndpointKey()).slots())
}

// An endpoint that answers fast and then hangs: those who counted on its pace do
// not wait for the whole of slotWait.
func TestLimiter_EndsTheWaitForAnEndpointThatBeginsToHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(2), newEndpoint()
		require.True(t, l.Acquire(t.Context(), id))
		l.learn(id.EndpointKey(), attempt.OutcomeDelivered, 8*time.Millisecond, time.Now())
		require.True(t, l.Acquire(t.Context(), id))
		sentAway := make(chan time.Duration, 500)
		began := time.Now()
		for range cap(sentAway) {
			l.Enter(t.Context(), id, func(ok bool) {
				require.False(t, ok)
				sentAway <- time.Since(began)
			})
		}
		require.Empty(t, sentAway, "at its pace all have their turn within slotWait")
		for range cap(sentAway) - 10 {
			require.LessOrEqual(t, <-sentAway, 5*lookInterval)
		}
		for range 10 {
			require.LessOrEqual(t, <-sentAway, slotWait+lookInterval)
		}
	})
}

func TestLimiter_EndsTheWaitOfAnEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(1), newEndpoint()
		require.True(t, l.Acquire(t.Context(), id))
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan bool, 1)
		l.Enter(ctx, id, func(ok bool) { got <- ok })
		cancel()
		began := time.Now()
		require.False(t, <-got)
		require.Zero(t, time.Since(began))
		l.Leave(id.EndpointKey())
		require.True(t, l.Acquire(t.Context(), id), "the slot did not go to who has left")
	})
}

func TestLimiter_FewWaitForAnEndpointThatHasNotAnsweredYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, id := newLimiter(1), newEndpoint()
		require.True(t, l.Acquire(t.Context(), id))
		sentAway := make(chan bool, newWaitingPerSlot+3)
		for range cap(sentAway) {
			l.Enter(t.Context(), id, func(ok bool) { sentAway <- ok })
		}
		require.Len(t, sentAway, 3)
		<-time.After(newSlotWait + 2*lookInterval)
		synctest.Wait()
		require.Len(t, sentAway, cap(sentAway))
	})
}

// What is known of an endpoint is forgotten a while after it was used last, whatever
// state it was left in, and not while anybody has a slot of it.
func TestLimiter_DropsUnusedEndpoints(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	failing := newEndpoint()
	throttled := newEndpoint()
	busy := newEndpoint()
	for at, outcome := range map[*attempt.Target]attempt.Outcome{
		failing:   attempt.OutcomeFailed,
		throttled: attempt.OutcomeThrottled,
		busy:      attempt.OutcomeFailed,
	} {
		require.True(t, l.Acquire(t.Context(), at))
		l.learn(at.EndpointKey(), outcome, time.Second, time.Now())
		l.stop(at.EndpointKey(), time.Now())
	}
	l.Leave(failing.EndpointKey())
	l.Leave(throttled.EndpointKey())
	newer := newEndpoint()
	newer.Sub.ID, newer.Sub.URLVersion = busy.Sub.ID, busy.Sub.URLVersion+1
	require.True(t, l.Acquire(t.Context(), newer))
	l.learn(newer.EndpointKey(), attempt.OutcomeFailed, time.Second, time.Now())
	l.Leave(newer.EndpointKey())

	l.DropUnused(time.Now().Add(endpointAge - time.Minute))
	require.Len(t, l.latest, 3)
	l.DropUnused(time.Now().Add(endpointAge + time.Minute))
	require.Len(t, l.latest, 1)
	require.Nil(t, l.find(newer.EndpointKey()))
	l.Leave(busy.EndpointKey())
	l.DropUnused(time.Now().Add(endpointAge + time.Minute))
	require.Empty(t, l.latest)
}
