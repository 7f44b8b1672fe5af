package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// hookGrace is how long Stop waits for hooks that do not heed that their context has
// ended.
const hookGrace = time.Second

// errStopping is why the context of a hook ends before its time.
var errStopping = errors.New("the engine stops")

// hookCalls are the calls of hooks that are under way.
type hookCalls struct {
	mu       sync.Mutex
	under    map[*hookCall]bool
	stopping bool          // Stop waits no longer
	closed   bool          // no call begins any more
	idle     chan struct{} // closed when none is under way any more; nil before close
}

// hookCall ends the context of one.
type hookCall struct{ cancel context.CancelCauseFunc }

func newHookCalls() *hookCalls { return &hookCalls{under: map[*hookCall]bool{}} }

// begin returns a call and its context, which ends when Stop waits no longer; it returns
// false after close. The call is to be ended when the hook has returned, and its context
// to be cancelled when nobody asks for its result any more: were it cancelled first, a hook
// that has returned would look like one that was interrupted.
func (h *hookCalls) begin(ctx context.Context) (limited context.Context, call *hookCall, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, false
	}
	call = &hookCall{}
	limited, call.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if h.stopping {
		call.cancel(errStopping)
	}
	h.under[call] = true
	return limited, call, true
}

func (h *hookCalls) end(call *hookCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.under, call)
	if len(h.under) == 0 && h.idle != nil {
		close(h.idle)
	}
}

// interrupt ends the contexts of hooks.
func (h *hookCalls) interrupt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
	for call := range h.under {
		call.cancel(errStopping)
	}
}

// close lets no hook begin any more. The error tells that one runs on.
func (h *hookCalls) close() error {
	h.interrupt()
	h.mu.Lock()
	h.closed = true
	under := len(h.under)
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
	limited, call, ok := e.hooks.begin(ctx)
	if !ok {
		e.log.ErrorContext(ctx, "riverhook: hook not called", "hook", name, "about", about, "error", errStopping)
		return
	}
	defer call.cancel(nil)
	_, err := callbacks.Within(limited, e.cfg.HookTimeout, func(ctx context.Context) (struct{}, error) {
		defer e.hooks.end(call)
		hook(ctx, ev)
		return struct{}{}, nil
	})
	if err == nil || errors.Is(err, context.Canceled) {
		err = context.Cause(limited) // errStopping where it was interrupted, or else nil
	}
	if err != nil {
		e.log.ErrorContext(ctx, "riverhook: hook failed", "hook", name, "about", about, "error", err)
	}
}
