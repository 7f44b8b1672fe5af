package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// hookGrace is how long Stop waits for hooks that do not heed that their context has
// ended.
const hookGrace = time.Second

// errStopping is why the context of a hook ends before its time.
var errStopping = errors.New("the engine stops")

// hookCalls are the calls of hooks that are under way.
type hookCalls struct {
	stopping context.Context // ends when Stop waits no longer
	stop     context.CancelCauseFunc

	mu     sync.Mutex
	under  int
	closed bool
	idle   chan struct{} // closed when none is under way any more; nil before close
}

func newHookCalls() *hookCalls {
	h := &hookCalls{}
	h.stopping, h.stop = context.WithCancelCause(context.Background())
	return h
}

// begin returns false after close.
func (h *hookCalls) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.under++
	return true
}

func (h *hookCalls) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under--; h.under == 0 && h.idle != nil {
		close(h.idle)
	}
}

// interrupt ends the contexts of hooks.
func (h *hookCalls) interrupt() { h.stop(errStopping) }

// close lets no hook begin any more. The error tells that one runs on.
func (h *hookCalls) close() error {
	h.interrupt()
	h.mu.Lock()
	h.closed = true
	under := h.under
	if under > 0 {
		h.idle = make(chan struct{})
	}
	h.mu.Unlock()
	if under == 0 {
		return nil
	}
	select {
	case <-h.idle:
		return nil
	case <-time.After(hookGrace):
		return fmt.Errorf("%s of a hook has not returned", plural(under, "call", "calls"))
	}
}

// callHook calls a hook about something with an id. It does not end with ctx, but
// with the time that a hook may take, or with that of Stop.
func callHook[T any](ctx context.Context, e *Engine, name string, hook func(context.Context, T), ev T, about uuid.UUID) {
	if hook == nil {
		return
	}
	if !e.hooks.begin() {
		e.log.ErrorContext(ctx, "riverhook: hook not called", "hook", name, "about", about, "error", errStopping)
		return
	}
	limited, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(e.hooks.stopping, func() { cancel(errStopping) })()
	_, err := within(limited, e.cfg.HookTimeout, func(ctx context.Context) (struct{}, error) {
		defer e.hooks.end()
		hook(ctx, ev)
		return struct{}{}, nil
	})
	if err != nil && limited.Err() != nil {
		err = context.Cause(limited)
	}
	if err != nil {
		e.log.ErrorContext(ctx, "riverhook: hook failed", "hook", name, "about", about, "error", err)
	}
}
