package callbacks_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

func hook(name string, call func(ctx context.Context)) callbacks.Hook {
	return callbacks.Hook{Name: name, Call: call}
}

func TestHooks_LogOnlyThoseThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := callbacks.NewHooks(time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		h.Add(ended, hook("Good", func(ctx context.Context) { require.NoError(t, ctx.Err(), "it does not end with its caller") }))
		h.Wait(t.Context())
		require.Empty(t, log.String())
		h.Add(t.Context(), hook("Late", func(ctx context.Context) { <-ctx.Done() }))
		h.Wait(t.Context())
		require.Contains(t, log.String(), "hook=Late")
		h.Add(t.Context(), hook("Panics", func(context.Context) { panic("oh") }))
		h.Wait(t.Context())
		require.Contains(t, log.String(), "panic: oh")
		require.NoError(t, h.Close())
		h.Add(t.Context(), hook("After", func(context.Context) { t.Error("a hook was called after Close") }))
		require.Contains(t, log.String(), "hook=After")
	})
}

func TestHooks_CloseInterruptsAndSaysWhatRunsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := callbacks.NewHooks(time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		deaf := make(chan struct{})
		h.Add(t.Context(), callbacks.Hook{
			Name:         "Deaf",
			Subscription: uuid.New(),
			Call:         func(context.Context) { <-deaf },
		})
		h.Add(t.Context(), hook("Good", func(ctx context.Context) { <-ctx.Done() }))
		h.Add(t.Context(), hook("Behind", func(context.Context) { t.Error("it was called") }))
		synctest.Wait()

		began := time.Now()
		h.Interrupt()
		synctest.Wait()
		require.Contains(t, log.String(), "hook=Behind")
		require.EqualError(t, h.Close(), "1 call of a hook has not returned")
		require.Equal(t, time.Second, time.Since(began))
		close(deaf)
	})
}

// One that hangs keeps those of its own subscription alone.
func TestHooks_AreInOrderForEachSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := callbacks.NewHooks(time.Minute, slog.New(slog.DiscardHandler))
		one, other := uuid.New(), uuid.New()
		release := make(chan struct{})
		var ones, others []int
		h.Add(t.Context(), callbacks.Hook{Subscription: one, Call: func(context.Context) { <-release }})
		for i := range 100 {
			h.Add(t.Context(), callbacks.Hook{Subscription: one, Call: func(context.Context) { ones = append(ones, i) }})
			h.Add(t.Context(), callbacks.Hook{Subscription: other, Call: func(context.Context) { others = append(others, i) }})
		}
		synctest.Wait()
		require.Empty(t, ones)
		require.Len(t, others, 100)
		require.IsIncreasing(t, others)

		close(release)
		h.Wait(t.Context())
		require.Len(t, ones, 100)
		require.IsIncreasing(t, ones)
	})
}

func TestHooks_AFewAreCalledAtOnceAndWhatIsTooMuchIsDroppedAndLogged(t *testing.T) {
	t.Parallel()
	for name, bytesOf := range map[string]int{"calls": 0, "bytes": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := callbacks.NewHooks(time.Hour, slog.New(slog.NewTextHandler(&log, nil)))
				release := make(chan struct{})
				called := make(chan struct{}, 2000)
				add := func(name string) {
					h.Add(t.Context(), callbacks.Hook{
						Name:         name,
						Subscription: uuid.New(),
						Bytes:        bytesOf,
						Call: func(context.Context) {
							called <- struct{}{}
							<-release
						},
					})
				}
				for range 4 {
					add("Running")
				}
				synctest.Wait()
				require.Len(t, called, 4)
				waits := 1000
				if bytesOf > 0 {
					waits = 16
				}
				for range waits {
					add("Waiting")
				}
				require.Empty(t, log.String())
				add("TooMany")
				synctest.Wait()
				require.Len(t, called, 4)
				require.Equal(t, 1, h.Dropped())
				require.Equal(t, 1, strings.Count(log.String(), "hook not called"))
				require.Contains(t, log.String(), "hook=TooMany")

				close(release)
				h.Wait(t.Context())
				require.Len(t, called, 4+waits)
				add("Again")
				h.Wait(t.Context())
				require.Len(t, called, 5+waits)
			})
		})
	}
}
