package outbox

import (
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/notfound"
)

// What a caller can act on, for errors.Is. Where nothing else is said, an error
// comes from the database and has aborted the transaction; it can be unwrapped
// to the driver's error. A serialization failure or a deadlock (SQLSTATE 40001,
// 40P01) asks for a new try of the whole transaction.
var (
	// ErrEventTypesUnavailable means that the client could not read the registered
	// event types on Config.Pool, and so cannot tell whether an intent is one. No
	// statement was sent and the transaction can go on.
	ErrEventTypesUnavailable = errors.New("the registered event types cannot be read")

	// ErrIDConflict means that the ID of an intent belongs to another intent,
	// one with other content. Nothing was written and the transaction can go on.
	// See [*IDConflictError].
	ErrIDConflict = errors.New("the id is taken by an intent with other content")

	// ErrInvalidEventType means that an event type was refused before it was
	// written; the transaction can go on. See [*InvalidEventTypeError].
	ErrInvalidEventType = errors.New("invalid event type")

	// ErrInvalidIntent means that an intent was refused. Nothing was written, no
	// statement was sent and the transaction can go on. See [*InvalidIntentError].
	ErrInvalidIntent = errors.New("invalid intent")

	// ErrIsolation means that something is to be erased in a transaction that is
	// not READ COMMITTED: it would not see what engines have written since it
	// began. Nothing was done and the transaction can go on.
	ErrIsolation = errors.New("a resource is erased under READ COMMITTED only")

	// ErrNotFound means that there is no such event type.
	ErrNotFound = notfound.Err

	// ErrNotMigrated means that the database has no Riverhook schema of the name
	// in the Config, or one that is too old or too new for this version of the
	// library. Run [Migrate], or update the program.
	ErrNotMigrated = migration.ErrNotMigrated
)

// IDConflictError says which intent of a call has an ID that is taken.
type IDConflictError struct {
	Index int // in the slice that EnqueueMany was given; 0 for Enqueue
	ID    string
}

// Error implements error.
func (e *IDConflictError) Error() string {
	return fmt.Sprintf("outbox: intent %d: ID %q: %v", e.Index, e.ID, ErrIDConflict)
}

// Is makes the error an [ErrIDConflict].
func (e *IDConflictError) Is(target error) bool { return target == ErrIDConflict }

// InvalidEventTypeError says which field of an event type was refused, and why.
type InvalidEventTypeError struct {
	Name   string // of the event type
	Field  string // of EventType
	Reason string
}

// Error implements error.
func (e *InvalidEventTypeError) Error() string {
	return fmt.Sprintf("outbox: event type %q: %s: %s", e.Name, e.Field, e.Reason)
}

// Is makes the error an [ErrInvalidEventType].
func (e *InvalidEventTypeError) Is(target error) bool { return target == ErrInvalidEventType }

// InvalidIntentError says which field of an intent was refused, and why.
type InvalidIntentError struct {
	Index  int    // in the slice that EnqueueMany was given; 0 for Enqueue
	Field  string // of Intent, or "Resource.Kind", "Resource.ID"
	Reason string

	err error
}

// Error implements error.
func (e *InvalidIntentError) Error() string {
	return fmt.Sprintf("outbox: intent %d: %s: %s", e.Index, e.Field, e.Reason)
}

// Unwrap returns [ErrInvalidIntent], and the error behind the refusal, such as one of
// MarshalJSON, where there is one.
func (e *InvalidIntentError) Unwrap() []error {
	if e.err == nil {
		return []error{ErrInvalidIntent}
	}
	return []error{ErrInvalidIntent, e.err}
}
