package callbacks_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

func TestHooks_LogOnlyThoseThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := callbacks.NewHooks(time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		h.Call(ended, "Good", uuid.Nil, func(ctx context.Context) { require.NoError(t, ctx.Err(), "it does not end with its caller") })
		require.Empty(t, log.String())
		h.Call(t.Context(), "Late", uuid.Nil, func(ctx context.Context) { <-ctx.Done() })
		require.Contains(t, log.String(), "hook=Late")
		h.Call(t.Context(), "Panics", uuid.Nil, func(context.Context) { panic("oh") })
		require.Contains(t, log.String(), "panic: oh")
		require.NoError(t, h.Close())
		h.Call(t.Context(), "After", uuid.Nil, func(context.Context) { t.Error("a hook was called after Close") })
		require.Contains(t, log.String(), "hook=After")
	})
}

func TestHooks_CloseInterruptsAndSaysWhatRunsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := callbacks.NewHooks(time.Minute, slog.New(slog.DiscardHandler))
		deaf := make(chan struct{})
		go h.Call(t.Context(), "Deaf", uuid.Nil, func(context.Context) { <-deaf })
		go h.Call(t.Context(), "Good", uuid.Nil, func(ctx context.Context) { <-ctx.Done() })
		synctest.Wait()

		began := time.Now()
		h.Interrupt()
		synctest.Wait()
		require.EqualError(t, h.Close(), "1 call of a hook has not returned")
		require.Equal(t, time.Second, time.Since(began))
		close(deaf)
	})
}
