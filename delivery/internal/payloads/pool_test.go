package payloads_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/payloads"
)

const mib = 1 << 20

// bounded makes a pool of 8 MiB, of which 6 are for what is not urgent, and which loads
// nothing.
func bounded(t *testing.T) *payloads.Pool {
	t.Helper()
	pool := payloads.New(payloads.Config{Bytes: 8 * mib, MaxWait: time.Hour})
	t.Cleanup(pool.Close)
	return pool
}

// data wants that of another intent.
func data(bytes int) payloads.Want {
	return payloads.Want{
		IntentID: uuid.New(),
		Stored:   []payloads.Size{{Name: payloads.Data, Bytes: bytes}},
	}
}

func try(t *testing.T, pool *payloads.Pool, want payloads.Want) *payloads.Held {
	t.Helper()
	held, ok := pool.Try(want)
	require.True(t, ok)
	return held
}

func refused(t *testing.T, pool *payloads.Pool, want payloads.Want) {
	t.Helper()
	_, ok := pool.Try(want)
	require.False(t, ok)
}

// waits begins to wait for what is wanted, and sends it when it is there.
func waits(t *testing.T, pool *payloads.Pool, want payloads.Want) <-chan *payloads.Held {
	t.Helper()
	got := make(chan *payloads.Held, 1)
	go func() {
		if held, err := pool.Wait(t.Context(), want); err == nil {
			got <- held
		}
	}()
	synctest.Wait()
	return got
}

func notYet(t *testing.T, got <-chan *payloads.Held) {
	t.Helper()
	synctest.Wait()
	select {
	case <-got:
		require.Fail(t, "it has what it waits for")
	default:
	}
}

func TestPool_HoldsNoMoreThanItsBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		first, second := try(t, pool, data(3*mib)), try(t, pool, data(3*mib))
		require.Equal(t, 6*mib, pool.Taken())
		refused(t, pool, data(1))

		third := waits(t, pool, data(2*mib))
		fourth := waits(t, pool, data(1*mib))
		second.Release()
		(<-third).Drop(payloads.Data)
		require.NotNil(t, <-fourth)
		require.Equal(t, 4*mib, pool.Taken())
		first.Release()
		require.Equal(t, 1*mib, pool.Taken())
	})
}

func TestPool_ServesInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		holder := try(t, pool, data(4*mib))
		large := waits(t, pool, data(5*mib))
		small := waits(t, pool, data(1*mib))

		notYet(t, small)
		refused(t, pool, data(1*mib))
		holder.Release()
		require.NotNil(t, <-large)
		require.NotNil(t, <-small)
	})
}

func TestPool_WhatIsLargerThanAllOfItGoesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		holder := try(t, pool, data(1*mib))
		huge := waits(t, pool, data(100*mib))
		next := waits(t, pool, data(1*mib))
		notYet(t, huge)

		holder.Release()
		held := <-huge
		notYet(t, next)
		require.Equal(t, 100*mib, pool.Taken())
		held.Release()
		require.NotNil(t, <-next)
	})
}

func TestPool_TheJobsOfAnIntentTakeItsPayloadsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		want := data(6 * mib)
		first := try(t, pool, want)
		other := waits(t, pool, data(6*mib))
		second := try(t, pool, want) // needs nothing more, so it passes who waits
		require.Equal(t, 6*mib, pool.Taken())

		first.Release()
		notYet(t, other)
		second.Release()
		require.NotNil(t, <-other)
	})
}

func TestPool_WhatWaitsHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		a, b := data(3*mib), data(3*mib)
		holdsA, holdsB := try(t, pool, a), try(t, pool, b)
		both := func(w payloads.Want) payloads.Want {
			w.Stored = append(w.Stored, payloads.Size{Name: "standard", Bytes: 3 * mib})
			return w
		}
		moreOfA, moreOfB := waits(t, pool, both(a)), waits(t, pool, both(b))
		notYet(t, moreOfA)

		holdsA.Release()
		holdsB.Release()
		held := <-moreOfA // if the other one were served first, this would wait
		notYet(t, moreOfB)
		held.Release()
		require.NotNil(t, <-moreOfB)
	})
}

func TestPool_JobsThatNeedTwoPayloadsEachDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		intents := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
		random := rand.New(rand.NewPCG(1, 2))
		var (
			jobs sync.WaitGroup
			mu   sync.Mutex
			most int
			done int
		)
		for n := range 500 {
			want := payloads.Want{
				IntentID: intents[random.IntN(len(intents))],
				Stored:   []payloads.Size{{Name: payloads.Data, Bytes: 3 * mib}, {Name: "standard", Bytes: 3 * mib}},
				Made:     random.IntN(2) * mib,
				Urgent:   n%50 == 0,
			}
			jobs.Go(func() {
				held, err := pool.Wait(t.Context(), want)
				if err != nil {
					return
				}
				<-time.After(time.Duration(n%7) * time.Millisecond)
				mu.Lock()
				most = max(most, pool.Taken())
				done++
				mu.Unlock()
				held.Release()
			})
		}
		jobs.Wait()
		require.Equal(t, 500, done)
		require.LessOrEqual(t, most, 8*mib)
		require.Zero(t, pool.Taken())
	})
}

func TestPool_WaitsForSoLongAndNotLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := payloads.New(payloads.Config{Bytes: 8 * mib})
		holder := try(t, pool, data(6*mib))
		next, leave := context.WithCancel(t.Context())
		go func() { _, _ = pool.Wait(next, data(2*mib)) }()
		synctest.Wait()
		started := time.Now()
		_, err := pool.Wait(t.Context(), data(2*mib))
		require.ErrorIs(t, err, payloads.ErrFull)
		require.Equal(t, payloads.DefaultWait, time.Since(started))

		leave()
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = pool.Wait(ended, data(2*mib))
		require.ErrorIs(t, err, context.Canceled)
		holder.Drop(payloads.Data)
		try(t, pool, data(6*mib)) // nobody waits any more
		holder.Release()
		require.Equal(t, 6*mib, pool.Taken())
	})
}

func TestPool_WhoLeavesMakesWayForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		try(t, pool, data(5*mib))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = pool.Wait(ctx, data(6*mib)) }()
		synctest.Wait()
		small := waits(t, pool, data(1*mib))
		notYet(t, small)

		cancel()
		require.NotNil(t, <-small)
	})
}

// of says whose turn a want takes.
func of(share string, want payloads.Want) payloads.Want {
	want.Share = share
	return want
}

func TestPool_AShareThatHoldsFewDoesNotWaitForOneThatHoldsMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		for range 6 {
			try(t, pool, of("loud", data(1*mib)))
		}
		loud := waits(t, pool, of("loud", data(1*mib)))

		quiet := try(t, pool, of("quiet", data(mib/2))) // as much as is left of the reserve then
		refused(t, pool, of("quiet", data(1)))
		other := try(t, pool, of("other", data(mib/4)))
		late := waits(t, pool, of("late", data(mib/4)))
		notYet(t, late)

		quiet.Release()
		(<-late).Release()
		other.Release()
		notYet(t, loud)
		require.Equal(t, 6*mib, pool.Taken())
	})
}

// A share whose turn it is, and which needs more than there is, gets a little of the reserve: then
// another one holds fewer.
func TestPool_WhatIsTakenCanMakeAnotherShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		gate := of("gate", data(4*mib))
		gate.Urgent = true
		try(t, pool, gate)
		large := waits(t, pool, of("large", data(4*mib)))
		try(t, pool, of("quiet", data(3*mib/8)))
		late := waits(t, pool, of("late", data(3*mib/8)))
		notYet(t, late)

		try(t, pool, of("large", data(mib/8)))

		synctest.Wait()
		require.Len(t, late, 1)
		require.Empty(t, large)
	})
}

func TestPool_TheShareThatHoldsFewestIsNextAndGetsWhatIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		var loud []*payloads.Held
		for range 6 {
			loud = append(loud, try(t, pool, of("loud", data(1*mib))))
		}
		more := waits(t, pool, of("loud", data(1*mib)))
		large := waits(t, pool, of("quiet", data(5*mib)))
		late := waits(t, pool, of("late", data(2*mib)))

		small := try(t, pool, of("small", data(mib/2))) // of the reserve, as all that passes
		for _, held := range loud[:5] {
			notYet(t, large)
			notYet(t, late)
			held.Release()
		}
		held := <-large
		small.Release()
		notYet(t, more)
		notYet(t, late)
		held.Release()
		require.NotNil(t, <-late)
		require.NotNil(t, <-more)
	})
}

func TestWait_TheOneThatIsNextGoesOnWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := payloads.New(payloads.Config{Bytes: 8 * mib})
		holder := try(t, pool, of("loud", data(6*mib)))
		large := waits(t, pool, of("quiet", data(5*mib)))
		started := time.Now()
		_, err := pool.Wait(t.Context(), of("loud", data(1*mib)))
		require.ErrorIs(t, err, payloads.ErrFull)
		<-time.After(50*time.Second - time.Since(started))
		notYet(t, large)
		_, err = pool.Wait(t.Context(), of("loud", data(1*mib)))
		require.ErrorIs(t, err, payloads.ErrFull)

		holder.Release()
		require.NotNil(t, <-large)
		_, err = pool.Wait(t.Context(), of("other", data(2*mib)))
		require.ErrorIs(t, err, payloads.ErrFull, "nobody waits for ever")
		require.Equal(t, 53*time.Second+20*payloads.DefaultWait, time.Since(started))
	})
}

func TestPool_WhatIsUrgentIsServedFirstAndHasAPartForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		urgent := func(bytes int) payloads.Want {
			return payloads.Want{
				IntentID: uuid.New(),
				Made:     bytes,
				Urgent:   true,
			}
		}
		holder := try(t, pool, data(6*mib))
		usual := waits(t, pool, data(4*mib))
		try(t, pool, urgent(2*mib))
		second := waits(t, pool, urgent(5*mib))

		holder.Release()
		held := <-second
		notYet(t, usual)
		held.Release()
		require.NotNil(t, <-usual)
	})
}

func TestPool_GuessesLeaveRoomForWhatIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		guess := func(bytes int) payloads.Want {
			return payloads.Want{
				IntentID: uuid.New(),
				Made:     bytes,
				Guess:    bytes,
			}
		}
		first, second := try(t, pool, guess(2*mib)), try(t, pool, guess(2*mib))
		third := waits(t, pool, guess(2*mib))
		known := try(t, pool, data(1*mib))
		notYet(t, third)

		first.Made(1 * mib) // it is no guess any more
		require.NotNil(t, <-third)
		require.Equal(t, 6*mib, pool.Taken())
		second.Release()
		known.Release()
		require.Equal(t, 3*mib, pool.Taken())
	})
}

// Many jobs guess before the first of them knows. What they are going to make is as large.
func TestPool_WhoWaitsForAGuessGuessesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		size, isGuess := 4*mib, true
		guess := func() payloads.Want {
			want := payloads.Want{IntentID: uuid.New()}
			want.Make("standard", func() (int, bool) { return size, isGuess })
			return want
		}
		first := try(t, pool, guess())
		var others [3]<-chan *payloads.Held
		for i := range others {
			others[i] = waits(t, pool, guess())
			notYet(t, others[i])
		}

		size, isGuess = 1*mib, false
		first.Made(1 * mib) // and is held for as long as its request takes
		for _, other := range others {
			require.NotNil(t, <-other)
		}
		require.Equal(t, 4*mib, pool.Taken())
	})
}

func TestPool_WhatIsLargerThanExpectedIsCountedWithoutWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bounded(t)
		held := try(t, pool, payloads.Want{IntentID: uuid.New(), Made: 2 * mib})
		held.Made(9 * mib)
		require.Equal(t, 9*mib, pool.Taken())
		body := make([]byte, 9*mib)
		require.Len(t, held.Share("standard", body), 9*mib)
		require.Equal(t, 9*mib, pool.Taken(), "what was made is the payload now")
		held.Made(0)
		pool.Count(1 * mib)
		next := waits(t, pool, data(1*mib))
		notYet(t, next)

		held.Release()
		require.NotNil(t, <-next)
		pool.Uncount(1 * mib)
		require.Equal(t, 1*mib, pool.Taken())
	})
}

func TestWant_OfSmallPayloadsIsNothing(t *testing.T) {
	t.Parallel()
	want := payloads.Want{Stored: []payloads.Size{{Name: "svix", Bytes: 2 * payloads.Inline}}}
	expect := func(bytes int, guess bool) payloads.Expectation {
		return func() (int, bool) { return bytes, guess }
	}
	want.Make("standard", expect(payloads.Inline, true))
	want.Make("svix", expect(3*payloads.Inline, true)) // it is stored
	require.Zero(t, want.Made)
	want.Make("plain", expect(payloads.Inline+1, true))
	want.Make("standard", expect(payloads.Inline+2, false))
	require.Equal(t, 2*payloads.Inline+3, want.Made)
	require.Equal(t, payloads.Inline+1, want.Guess)
	want.MakeLargest(map[string]payloads.Expectation{
		"plain":    expect(payloads.Inline+5, false),
		"standard": expect(payloads.Inline+4, true),
		"svix":     expect(3*payloads.Inline, true),
	})
	require.Equal(t, 3*payloads.Inline+8, want.Made)
	require.Equal(t, payloads.Inline+1, want.Guess)
}
