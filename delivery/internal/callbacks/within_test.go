package callbacks_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

func TestWithin_ReturnsWhatTheCallReturns(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")

	value, err := callbacks.Within(t.Context(), time.Minute, func(context.Context) (int, error) { return 7, refused })

	require.Equal(t, 7, value)
	require.Equal(t, refused, err)
}

func TestWithin_APanicIsAnError(t *testing.T) {
	t.Parallel()
	_, err := callbacks.Within(t.Context(), time.Minute, func(context.Context) (int, error) { panic("no manners") })
	require.EqualError(t, err, "panic: no manners")
}

func TestWithin_TheEndOfTheGoroutineIsAnError(t *testing.T) {
	t.Parallel()
	_, err := callbacks.Within(t.Context(), time.Minute, func(context.Context) (int, error) {
		runtime.Goexit()
		return 0, nil
	})
	require.EqualError(t, err, "it ended its goroutine")
}

func TestWithin_ReturnsAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		begun := time.Now()

		_, err := callbacks.Within(t.Context(), time.Minute, func(context.Context) (int, error) { // it does not watch its context
			<-over
			return 7, nil
		})

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "no answer within 1m0s: context deadline exceeded")
		require.Equal(t, time.Minute, time.Since(begun))
		close(over)
	})
}

func TestCheckSize_AllowsTheMost(t *testing.T) {
	t.Parallel()
	require.NoError(t, callbacks.CheckSize("data", 10, 10))
	require.EqualError(t, callbacks.CheckSize("data", 11, 10), "the data has 11 bytes; Config.Limits.RequestBytes allows 10")
}

func TestBrief_IsBoundedAndFitForATextColumn(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a\uFFFDb\uFFFDc", callbacks.Brief(errors.New("a\x00b\xffc")))
	long := callbacks.Brief(errors.New(strings.Repeat("é", 300)))
	require.LessOrEqual(t, len(long), 506)
	require.True(t, strings.HasSuffix(long, "..."))
}
