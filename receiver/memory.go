package receiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Memory is an inbox that keeps events in this process: for tests, and for programs that can
// do without what was accepted when they end. It remembers each event until then, and the
// payload until it is processed or deleted. There is no bound on how many attempts it makes at
// once. An event whose receiver was unregistered waits until it is registered again.
// [NewMemory] makes it; it is not for others to implement.
type Memory interface {
	Inbox
	Operator

	// Close ends the contexts of the attempts under way, waits for them, and begins no
	// more. Events are refused from then on.
	Close()
}

type memory struct {
	ctx      context.Context //nolint:containedctx // that of the attempts, which outlive the calls
	stop     context.CancelFunc
	registry *Registry

	mu       sync.Mutex
	attempts sync.WaitGroup
	byID     map[string]*memoryEvent
	byKey    map[memoryKey]*memoryEvent
	closed   bool
}

type memoryKey struct{ receiver, owner, deliveryID string }

type memoryEvent struct {
	before  int                // attempts of earlier rounds
	cancel  context.CancelFunc // of the attempt under way; else nil
	due     time.Time
	ended   time.Time
	event   Event
	next    *time.Timer
	status  Status
	running bool
}

// memoryWait is the wait before an event is looked at again whose receiver is not there.
const memoryWait = time.Second

// NewMemory returns an inbox whose events are processed by the receivers in registry.
func NewMemory(registry *Registry) Memory {
	ctx, stop := context.WithCancel(context.Background())
	return &memory{
		ctx:      ctx,
		stop:     stop,
		registry: registry,
		byID:     map[string]*memoryEvent{},
		byKey:    map[memoryKey]*memoryEvent{},
	}
}

// Close implements [Memory].
func (m *memory) Close() {
	m.mu.Lock()
	m.closed = true
	for _, e := range m.byID {
		e.next.Stop()
	}
	m.mu.Unlock()
	m.stop()
	m.attempts.Wait()
}

// Add implements [Inbox].
func (m *memory) Add(_ context.Context, ev Event) (Status, bool, error) {
	rec, ok := m.registry.Get(ev.Receiver)
	if !ok {
		return Status{}, false, fmt.Errorf("receiver: no receiver %q", ev.Receiver)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Status{}, false, errors.New("receiver: the inbox is closed")
	}
	var wait time.Duration
	if rec.Sync {
		wait = rec.Timeout
	}
	key := memoryKey{ev.Receiver, ev.Owner, ev.DeliveryID}
	if e, known := m.byKey[key]; known {
		reopened := e.status.State == Failed
		if reopened {
			m.reopen(e, wait)
		}
		return e.status, reopened, nil
	}
	ev.ReceivedAt = time.Now()
	e := &memoryEvent{event: ev, status: Status{
		ID:       ev.ID,
		Receiver: ev.Receiver,
		Owner:    ev.Owner,
		State:    Pending,
	}}
	m.byID[ev.ID] = e
	if ev.DeliveryID != "" {
		m.byKey[key] = e
	}
	m.schedule(e, wait)
	return e.status, true, nil
}

func (m *memory) schedule(e *memoryEvent, wait time.Duration) {
	e.due = time.Now().Add(wait)
	e.next = time.AfterFunc(wait, func() { m.attempt(m.ctx, e) })
}

// reopen opens a new round of an event that has failed.
func (m *memory) reopen(e *memoryEvent, wait time.Duration) {
	e.before = e.status.Attempts
	e.ended = time.Time{}
	e.status.State = Pending
	e.status.Error = ""
	m.schedule(e, wait)
}

// Run implements [Inbox].
func (m *memory) Run(ctx context.Context, ref Ref) (Status, error) {
	m.mu.Lock()
	e, err := m.find(ref)
	if err != nil {
		m.mu.Unlock()
		return Status{}, err
	}
	begun := e.status.Attempts > e.before
	if !begun {
		e.next.Stop()
	}
	m.mu.Unlock()
	if !begun {
		m.attempt(ctx, e)
	}
	return m.Status(ctx, ref)
}

// Status implements [Inbox].
func (m *memory) Status(_ context.Context, ref Ref) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.find(ref)
	if err != nil {
		return Status{}, err
	}
	return e.status, nil
}

// Delete implements [Inbox].
func (m *memory) Delete(_ context.Context, ref Ref) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.find(ref)
	if err != nil {
		return Status{}, err
	}
	e.next.Stop()
	if e.cancel != nil {
		e.cancel()
	}
	e.end(Status{
		ID:       ref.ID,
		Receiver: ref.Receiver,
		Owner:    ref.Owner,
		State:    Gone,
		Attempts: e.status.Attempts,
	})
	return e.status, nil
}

func (m *memory) find(ref Ref) (*memoryEvent, error) {
	e, ok := m.byID[ref.ID]
	if !ok || e.event.Receiver != ref.Receiver || e.event.Owner != ref.Owner {
		return nil, ErrNotFound
	}
	return e, nil
}

func (m *memory) attempt(ctx context.Context, e *memoryEvent) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)() //nolint:contextcheck // the end of the inbox is the end of the attempt
	rec, ev, ok := m.begin(e, cancel)
	if !ok {
		return
	}
	defer m.attempts.Done()
	resp, err := rec.Run(WithReporter(ctx, func(_ context.Context, message string) error { return m.report(e, message) }), ev)

	m.mu.Lock()
	defer m.mu.Unlock()
	e.cancel, e.running = nil, false
	status, number := e.status, ev.Attempt-e.before
	switch {
	case e.status.State != Pending: // it was deleted meanwhile
	case err == nil:
		status.State = Done
		status.Response = resp
		status.Error = ""
		e.end(status)
	case rec.Final(number, err):
		e.status.State = Failed
		e.status.Error = err.Error()
		e.ended = time.Now()
	default:
		e.status.Error = err.Error()
		if !m.closed {
			m.schedule(e, rec.Backoff(number))
		}
	}
}

func (m *memory) begin(e *memoryEvent, cancel context.CancelFunc) (Receiver, Event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || e.running || e.status.State != Pending {
		return Receiver{}, Event{}, false
	}
	rec, ok := m.registry.Get(e.event.Receiver)
	if !ok {
		m.schedule(e, memoryWait)
		return Receiver{}, Event{}, false
	}
	e.status.Attempts++
	e.cancel = cancel
	e.running = true
	e.event.Attempt = e.status.Attempts
	m.attempts.Add(1)
	return rec, e.event, true
}

func (m *memory) report(e *memoryEvent, message string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.status.State != Pending {
		return ErrNotFound
	}
	e.status.Message = message
	return nil
}

// end forgets the payload of an event that nobody will process any more.
func (e *memoryEvent) end(status Status) {
	e.status = status
	e.event.Body = nil
	e.event.Header = nil
	e.ended = time.Now()
}
