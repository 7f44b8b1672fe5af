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

const (
	// hookCalls is how many hooks are called at once. delivery.Hooks names it.
	hookCalls = 4

	// maxHooks is how many calls wait at most, and maxHookBytes for how many bytes of
	// answers. delivery.Hooks names them.
	maxHooks     = 1000
	maxHookBytes = 16 << 20

	// hookGrace is how long Close waits for hooks that do not heed that their context has
	// ended.
	hookGrace = time.Second
)

var (
	// errStopping is why the context of a hook ends before its time, and why one is not
	// called.
	errStopping = errors.New("the engine stops")

	// errTooMany is why a hook is not called.
	errTooMany = fmt.Errorf("%d calls, or %d MiB of answers, wait already", maxHooks, maxHookBytes>>20)
)

// Hook is a call that is to be made.
type Hook struct {
	Name         string
	About        uuid.UUID // for the log
	Subscription uuid.UUID // its hooks are called in order
	Bytes        int       // that are kept for the call
	Call         func(ctx context.Context)
}

// Hooks calls hooks, a few at once, those of a subscription one after the other in the order
// in which they were handed in. Nobody waits for them. It is safe for concurrent use.
type Hooks struct {
	log     *slog.Logger
	timeout time.Duration

	mu       sync.Mutex
	bytes    int                 // of the calls that wait
	dropped  int                 // in all
	idle     chan struct{}       // closed when nothing waits and none is called; nil: nobody asks
	lines    map[uuid.UUID]*line // by subscription
	ready    []*line             // whose next call can begin, in turn
	returned chan struct{}       // closed when none is under way any more; nil before Close
	stopping bool                // no call begins any more
	under    map[*hookCall]bool  // called and not returned
	waiting  int                 // calls that have not begun
	working  int                 // goroutines that call
}

// line is the calls of a subscription that wait. It is ready, or a goroutine has it.
type line struct {
	subscription uuid.UUID
	calls        []*hookCall
}

// hookCall is one call; end ends its context.
type hookCall struct {
	Hook

	ctx context.Context //nolint:containedctx // of the change, for its values
	end context.CancelCauseFunc
}

// NewHooks makes Hooks of which each call may take as long as timeout.
func NewHooks(timeout time.Duration, log *slog.Logger) *Hooks {
	return &Hooks{
		log:     log,
		timeout: timeout,
		lines:   map[uuid.UUID]*line{},
		under:   map[*hookCall]bool{},
	}
}

// Add hands in a call, and does not wait for it. It does not end with ctx, but with the time
// that a hook may take, or with Interrupt. What goes wrong is logged. A call is dropped, which
// is logged too, if too many wait, or after Interrupt.
func (h *Hooks) Add(ctx context.Context, hook Hook) {
	if err := h.add(ctx, hook); err != nil {
		h.notCalled(ctx, &hook, err)
	}
}

func (h *Hooks) add(ctx context.Context, hook Hook) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopping:
		h.dropped++
		return errStopping
	case h.waiting >= maxHooks, h.bytes+hook.Bytes > maxHookBytes && h.bytes > 0:
		h.dropped++
		return errTooMany
	}
	h.waiting++
	h.bytes += hook.Bytes
	l := h.lines[hook.Subscription]
	if l == nil {
		l = &line{subscription: hook.Subscription}
		h.lines[hook.Subscription] = l
		h.ready = append(h.ready, l)
	}
	l.calls = append(l.calls, &hookCall{Hook: hook, ctx: context.WithoutCancel(ctx)})
	if len(h.ready) > 0 && h.working < hookCalls {
		h.working++
		go h.work() //nolint:contextcheck // each call has the context of its change
	}
	return nil
}

func (h *Hooks) notCalled(ctx context.Context, hook *Hook, err error) {
	h.log.ErrorContext(ctx, "riverhook: hook not called", "hook", hook.Name, "about", hook.About, "error", err, "dropped", h.Dropped())
}

// Dropped is how many calls were dropped.
func (h *Hooks) Dropped() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropped
}

// work calls what is ready, and ends when nothing is.
func (h *Hooks) work() {
	var l *line
	for {
		call, limited := h.next(&l)
		if call == nil {
			return
		}
		h.call(limited, call)
	}
}

// next gives back a line, and takes the next call that can begin.
func (h *Hooks) next(l **line) (call *hookCall, limited context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case *l == nil:
	case len((*l).calls) > 0:
		h.ready = append(h.ready, *l)
	default:
		delete(h.lines, (*l).subscription)
	}
	if len(h.ready) == 0 {
		h.working--
		if h.working == 0 && h.idle != nil {
			close(h.idle)
			h.idle = nil
		}
		return nil, nil
	}
	*l = h.ready[0]
	h.ready = h.ready[1:]
	call = (*l).calls[0]
	(*l).calls = (*l).calls[1:]
	h.waiting--
	h.bytes -= call.Bytes
	limited, call.end = context.WithCancelCause(call.ctx)
	h.under[call] = true
	return call, limited
}

// call returns when a hook has returned or its time is over. The call ends when the hook has
// returned, and its context is cancelled when nobody asks for its result any more: were it
// cancelled first, a hook that has returned would look like one that was interrupted.
func (h *Hooks) call(limited context.Context, call *hookCall) {
	defer call.end(nil)
	_, err := Within(limited, h.timeout, func(ctx context.Context) (struct{}, error) {
		defer h.returnedFrom(call)
		call.Call(ctx)
		return struct{}{}, nil
	})
	if err == nil || errors.Is(err, context.Canceled) {
		err = context.Cause(limited) // errStopping if it was interrupted, or else nil
	}
	if err != nil {
		h.log.ErrorContext(limited, "riverhook: hook failed", "hook", call.Name, "about", call.About, "error", err)
	}
}

func (h *Hooks) returnedFrom(call *hookCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.under, call)
	if len(h.under) == 0 && h.returned != nil {
		close(h.returned)
		h.returned = nil
	}
}

// Wait waits until no call waits or is under way, or until ctx ends.
func (h *Hooks) Wait(ctx context.Context) {
	h.mu.Lock()
	if h.working == 0 {
		h.mu.Unlock()
		return
	}
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// Interrupt ends the contexts of hooks, and drops those that wait.
func (h *Hooks) Interrupt() {
	h.mu.Lock()
	h.stopping = true
	for call := range h.under {
		call.end(errStopping)
	}
	var left []*hookCall
	for _, l := range h.lines {
		left = append(left, l.calls...)
		l.calls = nil
	}
	for _, l := range h.ready {
		delete(h.lines, l.subscription)
	}
	h.ready = nil
	h.waiting, h.bytes = 0, 0
	h.dropped += len(left)
	h.mu.Unlock()
	for _, call := range left {
		h.notCalled(call.ctx, &call.Hook, errStopping)
	}
}

// Close is Interrupt that waits a moment for the calls under way. The error says that one
// runs on.
func (h *Hooks) Close() error {
	h.Interrupt()
	h.mu.Lock()
	under := len(h.under)
	if under == 0 {
		h.mu.Unlock()
		return nil
	}
	returned := make(chan struct{})
	h.returned = returned
	h.mu.Unlock()
	select {
	case <-returned:
		return nil
	case <-time.After(hookGrace):
		calls := "calls"
		if under == 1 {
			calls = "call"
		}
		return fmt.Errorf("%d %s of a hook has not returned", under, calls)
	}
}
