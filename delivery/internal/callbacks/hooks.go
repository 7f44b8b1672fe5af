package callbacks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// hookGrace is how long Close waits for hooks that do not heed that their context has
// ended.
const hookGrace = time.Second

// errStopping is why the context of a hook ends before its time.
var errStopping = errors.New("the engine stops")

// Hooks calls hooks, and keeps track of the calls that are under way. It is safe for
// concurrent use.
type Hooks struct {
	log     *slog.Logger
	timeout time.Duration

	mu       sync.Mutex
	under    map[*hookCall]bool
	stopping bool          // contexts end at once
	closed   bool          // no call begins any more
	idle     chan struct{} // closed when none is under way any more; nil before Close
}

// hookCall ends the context of one call.
type hookCall struct{ cancel context.CancelCauseFunc }

// NewHooks makes Hooks of which each call may take as long as timeout.
func NewHooks(timeout time.Duration, log *slog.Logger) *Hooks {
	return &Hooks{
		log:     log,
		timeout: timeout,
		under:   map[*hookCall]bool{},
	}
}

// Call calls the hook of a name, about something with an id, by call. It does not end with
// ctx, but with the time that a hook may take, or with Interrupt. It returns when call has
// returned or its time is over, and logs what went wrong.
func (h *Hooks) Call(ctx context.Context, name string, about uuid.UUID, call func(ctx context.Context)) {
	limited, under, ok := h.begin(ctx)
	if !ok {
		h.log.ErrorContext(ctx, "riverhook: hook not called", "hook", name, "about", about, "error", errStopping)
		return
	}
	defer under.cancel(nil)
	_, err := Within(limited, h.timeout, func(ctx context.Context) (struct{}, error) {
		defer h.end(under)
		call(ctx)
		return struct{}{}, nil
	})
	if err == nil || errors.Is(err, context.Canceled) {
		err = context.Cause(limited) // errStopping if it was interrupted, or else nil
	}
	if err != nil {
		h.log.ErrorContext(ctx, "riverhook: hook failed", "hook", name, "about", about, "error", err)
	}
}

// begin returns a call and its context, which ends by Interrupt; it returns false after
// Close. The call ends when the hook has returned, and its context is cancelled when nobody
// asks for its result any more: were it cancelled first, a hook that has returned would look
// like one that was interrupted.
func (h *Hooks) begin(ctx context.Context) (limited context.Context, call *hookCall, ok bool) {
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

func (h *Hooks) end(call *hookCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.under, call)
	if len(h.under) == 0 && h.idle != nil {
		close(h.idle)
	}
}

// Interrupt ends the contexts of hooks.
func (h *Hooks) Interrupt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
	for call := range h.under {
		call.cancel(errStopping)
	}
}

// Close lets no hook begin any more, and waits a moment for those under way. The error says
// that one runs on.
func (h *Hooks) Close() error {
	h.Interrupt()
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
		calls := "calls"
		if under == 1 {
			calls = "call"
		}
		return fmt.Errorf("%d %s of a hook has not returned", under, calls)
	}
}
