package batch_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/batch"
)

func TestGroup_ALoneItemIsFlushedAtOnce(t *testing.T) {
	t.Parallel()
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) { return items, nil })
	defer g.Close()

	out, err := g.Do(t.Context(), 7)

	require.NoError(t, err)
	require.Equal(t, 7, out)
}

func TestGroup_AnItemIsDoneWhenItsFlushIs(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"flushed by its caller": 0, "flushed behind another": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				flush := make(chan struct{})
				g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
					<-flush
					return items, nil
				})
				for range before {
					go func() { _, _ = g.Do(t.Context(), 0) }()
				}
				synctest.Wait()
				var done atomic.Bool
				go func() {
					_, _ = g.Do(t.Context(), 1)
					done.Store(true)
				}()

				for range before {
					synctest.Wait()
					flush <- struct{}{}
				}
				synctest.Wait()
				require.False(t, done.Load(), "it was done before its flush")
				flush <- struct{}{}
				synctest.Wait()
				require.True(t, done.Load())
				g.Close()
			})
		})
	}
}

func TestGroup_ItemsThatWaitShareOneFlush(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
		if len(sizes) == 0 {
			close(entered)
			<-release
		}
		sizes = append(sizes, len(items))
		return items, nil
	})

	var wg sync.WaitGroup
	wg.Go(func() { _, _ = g.Do(t.Context(), 0) })
	<-entered
	for i := range 9 {
		wg.Go(func() { _, _ = g.Do(t.Context(), i) })
	}
	for g.Waiting() < 9 {
		runtime.Gosched() // the queue's length is the signal
	}
	close(release)
	wg.Wait()
	g.Close()

	require.Equal(t, []int{1, 9}, sizes)
}

func TestSettle_OnlyThePoisonItemFails(t *testing.T) {
	t.Parallel()
	errPoison := errors.New("poison")
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
		if slices.Contains(items, 13) {
			return nil, errPoison
		}
		return items, nil
	})
	defer g.Close()

	var wg sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		wg.Go(func() { _, errs[i] = g.Do(t.Context(), i) })
	}
	wg.Wait()

	for i, err := range errs {
		if i == 13 {
			require.ErrorIs(t, err, errPoison)
		} else {
			require.NoError(t, err)
		}
	}
}

func TestSettle_APanicOrAWrongCountIsAnErrorOfItsBatch(t *testing.T) {
	t.Parallel()
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
		if items[0] == 1 {
			panic("boom")
		}
		return nil, nil
	})
	defer g.Close()

	_, err := g.Do(t.Context(), 1)
	require.ErrorContains(t, err, "boom")
	_, err = g.Do(t.Context(), 2)
	require.ErrorContains(t, err, "0 outputs for 1 items")
}

func TestGroup_ACallerWhoseContextEndsStopsWaiting(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
		<-release
		return items, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := g.Do(ctx, 1)

	require.ErrorIs(t, err, context.Canceled)
	close(release)
	g.Close()
}

func TestClose_ItemsAreRefusedAfterIt(t *testing.T) {
	t.Parallel()
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) { return items, nil })
	g.Close()
	g.Close()

	_, err := g.Do(t.Context(), 1)

	require.ErrorIs(t, err, batch.ErrClosed)
}

// A share keeps the flusher busy and has many items that wait.
func TestDoOf_AnItemOfAnotherShareDoesNotWaitForThoseOfABusyOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var flushes [][]string
		var mu sync.Mutex
		g := batch.New(batch.Config{}, func(_ context.Context, items []string) ([]string, error) {
			mu.Lock()
			flushes = append(flushes, items)
			mu.Unlock()
			if items[0] != "quick" {
				<-release
			}
			return items, nil
		})
		var all sync.WaitGroup
		do := func(share, item string) {
			all.Go(func() { _, _ = g.DoOf(t.Context(), share, item) })
			synctest.Wait()
		}
		for range 10 {
			do("loud", "slow")
		}
		require.Len(t, flushes, 1, "it has no more than one flusher")
		require.Equal(t, 9, g.Waiting())

		do("quiet", "quick")
		do("other", "quick")
		do("quiet", "quick")
		require.Len(t, flushes, 4, "each is done at once")
		require.Equal(t, 9, g.Waiting())

		for range 20 { // one is being flushed, 15 wait for that flusher, and the others behind the loud one
			do("second", "slow")
		}
		require.Len(t, flushes, 5)
		close(release)
		all.Wait()
		require.Len(t, flushes, 7, "one more for each of the two queues")
		slices.SortFunc(flushes[5:], func(a, b []string) int { return len(a) - len(b) })
		require.Len(t, flushes[5], 9+4)
		require.Len(t, flushes[6], 15)
		g.Close()
	})
}

// While the flusher is free, and of one share alone, nothing is different.
func TestDoOf_OneShareHasNoFlusherMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flush := make(chan struct{})
		var sizes []int
		g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
			<-flush
			sizes = append(sizes, len(items))
			return items, nil
		})
		var all sync.WaitGroup
		for range 3 {
			for i := range 4 {
				all.Go(func() { _, _ = g.DoOf(t.Context(), "one", i) })
				synctest.Wait()
			}
			flush <- struct{}{}
			synctest.Wait()
			flush <- struct{}{}
			all.Wait()
		}
		require.Equal(t, []int{1, 3, 1, 3, 1, 3}, sizes)
		g.Close()
	})
}

func TestGroup_ACallerWhoseContextEndsEndsItsOwnFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errStop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		var cut error
		g := batch.New(batch.Config{}, func(ctx context.Context, _ []int) ([]int, error) {
			<-ctx.Done()
			cut = context.Cause(ctx)
			return nil, ctx.Err()
		})
		go func() {
			synctest.Wait()
			cancel(errStop)
		}()

		_, err := g.Do(ctx, 1)

		require.ErrorIs(t, err, errStop)
		require.ErrorIs(t, cut, errStop)
		g.Close()
	})
}

func TestGroup_ACallerWhoseContextEndsLeavesTheFlushOfOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flush := make(chan struct{})
		g := batch.New(batch.Config{}, func(ctx context.Context, items []int) ([]int, error) {
			<-flush
			return items, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var errs [3]error
		var wg sync.WaitGroup
		for i, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
			wg.Go(func() { _, errs[i] = g.Do(ctx, i) })
			synctest.Wait()
		}

		flush <- struct{}{}
		synctest.Wait()
		cancel()
		synctest.Wait()
		flush <- struct{}{}
		wg.Wait()
		g.Close()

		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], context.Canceled)
		require.NoError(t, errs[2])
	})
}

func TestGroup_NoCallerFlushesForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flush := make(chan struct{})
		g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
			<-flush
			return items, nil
		})
		var done [2]atomic.Bool
		for i := range done {
			go func() {
				_, _ = g.Do(t.Context(), i)
				done[i].Store(true)
			}()
			synctest.Wait()
		}

		flush <- struct{}{}
		synctest.Wait()
		require.True(t, done[0].Load(), "it waits for the flush of an item that came later")
		require.False(t, done[1].Load())
		flush <- struct{}{}
		synctest.Wait()
		require.True(t, done[1].Load())
		g.Close()
	})
}

func TestClose_WaitsForTheFlushOfALoneItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var flushed, closed atomic.Bool
		g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
			<-release
			flushed.Store(true)
			return items, nil
		})
		go func() { _, _ = g.Do(t.Context(), 1) }()
		synctest.Wait()
		go func() {
			g.Close()
			closed.Store(true)
		}()

		synctest.Wait()
		require.False(t, closed.Load())
		close(release)
		synctest.Wait()
		require.True(t, flushed.Load())
		require.True(t, closed.Load())
	})
}

func TestSettle_AnErrorOfTheWholeIsNotLookedForInItsParts(t *testing.T) {
	t.Parallel()
	errWhole := errors.New("the server cannot write")
	entered, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	g := batch.New(batch.Config{
		Whole: func(err error) bool { return errors.Is(err, errWhole) },
	}, func(_ context.Context, items []int) ([]int, error) {
		if len(sizes) == 0 {
			close(entered)
			<-release
		}
		sizes = append(sizes, len(items))
		return nil, errWhole
	})
	var wg sync.WaitGroup
	errs := make([]error, 10)
	wg.Go(func() { _, errs[0] = g.Do(t.Context(), 0) })
	<-entered
	for i := 1; i < len(errs); i++ {
		wg.Go(func() { _, errs[i] = g.Do(t.Context(), i) })
	}
	for g.Waiting() < len(errs)-1 {
		runtime.Gosched() // the queue's length is the signal
	}
	close(release)
	wg.Wait()
	g.Close()

	require.Equal(t, []int{1, 9}, sizes)
	for _, err := range errs {
		require.ErrorIs(t, err, errWhole)
	}
}

// Each part of a batch would wait for as long as the whole does: all of them together
// have a bound, too.
func TestSettle_ABatchHasADeadlineInAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		first := true
		g := batch.New(batch.Config{
			Timeout: 30 * time.Second,
			Total:   45 * time.Second,
		},
			func(ctx context.Context, items []int) ([]int, error) {
				if first {
					first = false
					close(entered)
					<-release
					return items, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			})
		go func() { _, _ = g.Do(t.Context(), 0) }()
		<-entered
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				_, err := g.Do(t.Context(), i)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		synctest.Wait()
		started := time.Now()
		close(release)
		wg.Wait()
		g.Close()
		require.Equal(t, 45*time.Second, time.Since(started))
	})
}
