package batch_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/batch"
)

func TestALoneItemIsFlushedAtOnce(t *testing.T) {
	t.Parallel()
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) { return items, nil })
	defer g.Close()

	out, err := g.Do(t.Context(), 7)

	require.NoError(t, err)
	require.Equal(t, 7, out)
}

func TestAnItemIsDoneWhenItsFlushIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flushed, done := make(chan struct{}), make(chan struct{})
		g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) {
			<-flushed
			return items, nil
		})
		go func() {
			defer close(done)
			_, _ = g.Do(t.Context(), 1)
		}()

		synctest.Wait()
		select {
		case <-done:
			require.Fail(t, "it was done before its flush")
		default:
		}
		close(flushed)
		<-done
		g.Close()
	})
}

func TestItemsThatWaitShareOneFlush(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	g := batch.New(batch.Config{Flushers: 1}, func(_ context.Context, items []int) ([]int, error) {
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

func TestOnlyThePoisonItemFails(t *testing.T) {
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

func TestAPanicOrAWrongCountIsAnErrorOfItsBatch(t *testing.T) {
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

func TestACallerWhoseContextEndsStopsWaiting(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	g := batch.New(batch.Config{Flushers: 1}, func(_ context.Context, items []int) ([]int, error) {
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

func TestAfterCloseItemsAreRefused(t *testing.T) {
	t.Parallel()
	g := batch.New(batch.Config{}, func(_ context.Context, items []int) ([]int, error) { return items, nil })
	g.Close()
	g.Close()

	_, err := g.Do(t.Context(), 1)

	require.ErrorIs(t, err, batch.ErrClosed)
}
