package receiver

import (
	"context"
	"fmt"
	"slices"
)

// List implements [Operator].
func (m *memory) List(_ context.Context, filter EventFilter) (EventPage, error) {
	f, place, err := filter.Normalize()
	if err != nil {
		return EventPage{}, fmt.Errorf("receiver: list events: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var events []EventRecord
	for _, e := range m.byID {
		r := e.record()
		if f.includes(r) && (f.Cursor == "" || r.place().compare(place) > 0) {
			events = append(events, r)
		}
	}
	slices.SortFunc(events, func(a, b EventRecord) int { return a.place().compare(b.place()) })
	return NewEventPage(events, f.Limit), nil
}

func (r EventRecord) place() EventPlace { return EventPlace{ID: r.ID, At: r.ReceivedAt} }

func (e *memoryEvent) record() EventRecord {
	r := EventRecord{
		ID:             e.event.ID,
		Receiver:       e.event.Receiver,
		Owner:          e.event.Owner,
		DeliveryID:     e.event.DeliveryID,
		ContentType:    e.event.ContentType,
		State:          e.status.State,
		Attempts:       e.status.Attempts,
		Message:        e.status.Message,
		Error:          e.status.Error,
		ResponseStatus: e.status.Response.Status,
		ReceivedAt:     e.event.ReceivedAt,
	}
	if r.State == Pending {
		due := e.due
		r.DueAt = &due
	} else {
		ended := e.ended
		r.EndedAt = &ended
	}
	return r
}

// Retry implements [Operator].
func (m *memory) Retry(_ context.Context, id string) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byID[id]
	if !ok {
		return Status{}, fmt.Errorf("receiver: retry an event: %w", ErrNotFound)
	}
	switch e.status.State {
	case Failed:
		m.reopen(e, 0)
	case Pending:
		if !e.running && e.status.Error != "" && e.next.Stop() {
			m.schedule(e, 0)
		}
	case Done, Gone:
		return Status{}, fmt.Errorf("receiver: retry an event: %w", ErrEnded)
	}
	return e.status, nil
}

// RetryMany implements [Operator].
func (m *memory) RetryMany(_ context.Context, filter EventFilter) (int, error) {
	if err := filter.ForRetry(); err != nil {
		return 0, fmt.Errorf("receiver: retry events: %w", err)
	}
	filter.State = Failed
	m.mu.Lock()
	defer m.mu.Unlock()
	retried := 0
	for _, e := range m.byID {
		if filter.includes(e.record()) {
			m.reopen(e, 0)
			retried++
		}
	}
	return retried, nil
}
