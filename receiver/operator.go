package receiver

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	defaultListLimit = 100
	maxListLimit     = 1000
)

// Operator is what those who run receivers do with events, whoever's they are. [Memory]
// and the inbox of package pginbox are one. It is not for senders: it decides nothing about
// rights. Implementations are safe for concurrent use and pass receivertest.Run. It will
// not gain methods.
type Operator interface {
	// List returns a page of the events that the filter leaves, newest first. The
	// error is [ErrInvalidFilter], or that of the inbox.
	List(ctx context.Context, filter EventFilter) (EventPage, error)

	// Retry opens new attempts of an event that has failed, as many as
	// Receiver.MaxAttempts, the first of them now. One that is pending and waits for its next
	// attempt is due now. The status is that behind it. The error is [ErrNotFound]
	// or [ErrEnded], or that of the inbox.
	Retry(ctx context.Context, id string) (Status, error)

	// RetryMany is Retry of all events that the filter leaves and that had failed when
	// it was called; it returns how many. State must be "" or Failed, Cursor "" and
	// Limit 0. It works in steps: after an error some are retried, and it can be called
	// again. The error is [ErrInvalidFilter], or that of the inbox.
	RetryMany(ctx context.Context, filter EventFilter) (int, error)
}

var (
	// ErrEnded says that there is nothing to retry: the event is done, or it was
	// deleted.
	ErrEnded = errors.New("receiver: the event is done, or was deleted")

	// ErrInvalidFilter says that a field of an [EventFilter] makes no sense; the text
	// names it.
	ErrInvalidFilter = errors.New("receiver: invalid filter")
)

// EventFilter narrows a list of events. Those fields that are given must all hold; the
// zero value is all of them. In Postgres an index is used for Since, Until and the State Failed;
// the others look through what these leave.
type EventFilter struct {
	// Cursor is the Next of the page before. Default: the list begins with the newest.
	Cursor string

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// Owner is whose token it was, exactly.
	Owner string

	// Receiver is the name of the receiver, exactly.
	Receiver string

	// Since is the earliest time at which the event was stored first, inclusive.
	Since time.Time

	// State is how far it has come.
	State State

	// Until is the time before which it was stored first.
	Until time.Time
}

// EventPage is a page of a list of events.
type EventPage struct {
	Events []EventRecord `json:"events"`

	// Next is the Cursor of the page that follows; "": this one is the last.
	Next string `json:"next,omitempty"`
}

// EventRecord is what an operator sees of an event: everything but what came with it.
type EventRecord struct {
	ID          string `json:"id"`
	Receiver    string `json:"receiver"`
	Owner       string `json:"owner,omitempty"`
	DeliveryID  string `json:"delivery_id,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	State       State  `json:"state"`

	// Attempts is how often the Func was started, in all rounds.
	Attempts int `json:"attempts"`

	// Message is what the Func has reported last.
	Message string `json:"message,omitempty"`

	// Error is why the last attempt of this round failed.
	Error string `json:"error,omitempty"`

	// ResponseStatus is what the Func has answered; 0 is 201, or that it is not done.
	ResponseStatus int `json:"response_status,omitempty"`

	ReceivedAt time.Time  `json:"received_at"`
	DueAt      *time.Time `json:"due_at,omitempty"`   // of the next attempt; nil when it has ended
	EndedAt    *time.Time `json:"ended_at,omitempty"` // nil while it is pending
}

// Normalize returns the filter with its defaults and the place that Cursor names, which is zero
// without one, for implementations of [Operator].
func (f EventFilter) Normalize() (EventFilter, EventPlace, error) {
	var place EventPlace
	switch f.State {
	case "", Done, Failed, Gone, Pending:
	default:
		return f, place, fmt.Errorf("%w: State: %q is not one of %s, %s, %s, %s",
			ErrInvalidFilter, f.State, Done, Failed, Gone, Pending)
	}
	if f.Limit < 0 || f.Limit > maxListLimit {
		return f, place, fmt.Errorf("%w: Limit: is %d; must be 1 to %d, or 0 for %d", ErrInvalidFilter, f.Limit, maxListLimit, defaultListLimit)
	}
	if f.Limit == 0 {
		f.Limit = defaultListLimit
	}
	for name, text := range map[string]string{"Owner": f.Owner, "Receiver": f.Receiver} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return f, place, fmt.Errorf("%w: %s: is not text", ErrInvalidFilter, name)
		}
	}
	if f.Cursor != "" {
		text, err := base64.RawURLEncoding.DecodeString(f.Cursor)
		if err == nil {
			err = json.Unmarshal(text, &place)
		}
		if err != nil || !eventID.MatchString(place.ID) {
			return f, place, fmt.Errorf("%w: Cursor: is not the Next of a page", ErrInvalidFilter)
		}
	}
	return f, place, nil
}

// EventPlace is where an event is in a list: by the time at which it was stored first, then
// by its id.
type EventPlace struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// compare orders a list: the newest first.
func (p EventPlace) compare(other EventPlace) int {
	return cmp.Or(other.At.Compare(p.At), strings.Compare(other.ID, p.ID))
}

// NewEventPage returns the page of these events, which are one more than limit where more
// follow, for implementations of [Operator].
func NewEventPage(events []EventRecord, limit int) EventPage {
	if len(events) <= limit {
		return EventPage{Events: events}
	}
	last := events[limit-1]
	text, _ := json.Marshal(EventPlace{ID: last.ID, At: last.ReceivedAt}) //nolint:errchkjson // a time of a clock always encodes
	return EventPage{Events: events[:limit], Next: base64.RawURLEncoding.EncodeToString(text)}
}

// ForRetry checks a filter for RetryMany, for implementations of [Operator].
func (f EventFilter) ForRetry() error {
	switch {
	case f.State != "" && f.State != Failed:
		return fmt.Errorf("%w: State: only failed events are retried, not those that are %s", ErrInvalidFilter, f.State)
	case f.Cursor != "":
		return fmt.Errorf("%w: Cursor: is for lists", ErrInvalidFilter)
	case f.Limit != 0:
		return fmt.Errorf("%w: Limit: is for lists", ErrInvalidFilter)
	}
	_, _, err := f.Normalize()
	return err
}

func (f EventFilter) includes(e EventRecord) bool {
	return (f.State == "" || e.State == f.State) && (f.Receiver == "" || e.Receiver == f.Receiver) &&
		(f.Owner == "" || e.Owner == f.Owner) &&
		(f.Since.IsZero() || !e.ReceivedAt.Before(f.Since)) && (f.Until.IsZero() || e.ReceivedAt.Before(f.Until))
}
