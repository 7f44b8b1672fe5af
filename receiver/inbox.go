package receiver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/riverhook/riverhook/internal/notfound"
)

// State is how far an event has come.
type State string

// The states of an event.
const (
	// Pending: it is processed, or will be.
	Pending State = "pending"
	// Done: the Func has returned without an error.
	Done State = "done"
	// Failed: the Func has failed for good. A delivery that comes again is tried anew.
	Failed State = "failed"
	// Gone: it was deleted, and its payload with it.
	Gone State = "gone"
)

// Status is what is known of an event.
type Status struct {
	ID       string `json:"id"`
	Receiver string `json:"receiver"`
	Owner    string `json:"owner"`
	State    State  `json:"state"`
	// Attempts is how often the Func was started, in all rounds.
	Attempts int `json:"attempts"`
	// Message is what the Func has reported last; see [Report].
	Message string `json:"message"`
	// Error is why the last attempt of this round failed, for operators; "" after
	// success.
	Error string `json:"error"`
	// Response is what the Func has answered, when it is done.
	Response Response `json:"response"`
}

// ErrNotFound says that an inbox has no such event, or that it is another receiver's or
// another owner's.
var ErrNotFound = notfound.Err

// Ref names an event to who may know of it.
type Ref struct {
	Receiver string `json:"receiver"`
	Owner    string `json:"owner"`
	ID       string `json:"id"`
}

// Inbox stores events and has them processed by the receivers of its [Registry]:
// [Memory], or that of package pginbox. Implementations are safe for concurrent use, and
// pass receivertest.Run. It will not gain methods: more abilities come as further
// interfaces.
type Inbox interface {
	// Add stores ev, once: when its receiver has an event of that Owner and DeliveryID,
	// not "", that one's status is returned, with its ID, and false. When that one has
	// failed for good a new round of attempts is opened for it, as many as
	// Receiver.MaxAttempts, with what came first; that is true, and of several calls at
	// once it is true for one. When it returns without an error the event is stored for good,
	// with the task to process it. Where its receiver is Sync that task begins after the
	// receiver's Timeout, unless Run was called by then.
	Add(ctx context.Context, ev Event) (Status, bool, error)

	// Run makes the first attempt of an event that Add has stored or opened again, and returns
	// what it came to; where that attempt has begun it makes none. What a failed attempt
	// leaves is pending and processed later; its error is in the status, and is not the error
	// of Run.
	Run(ctx context.Context, ref Ref) (Status, error)

	// Status returns what is known of an event, or [ErrNotFound].
	Status(ctx context.Context, ref Ref) (Status, error)

	// Delete ends the processing of an event, purges its payload and its response,
	// and returns its status, which is Gone; or [ErrNotFound]. An attempt under
	// way is told by its context, and can change nothing in this inbox any more. It
	// can be repeated.
	Delete(ctx context.Context, ref Ref) (Status, error)
}

type reporterKey struct{}

// WithReporter returns the context of an attempt in which [Report] calls report, for
// implementations of [Inbox].
func WithReporter(ctx context.Context, report func(ctx context.Context, message string) error) context.Context {
	return context.WithValue(ctx, reporterKey{}, report)
}

// maxMessage is in bytes.
const maxMessage = 500

// Report says, from within a [Func], how far it has come, such as "3 of 7 files". Whoever
// asks for the event's status is told, also when the attempt fails later. Control
// characters become spaces, and what is beyond 500 bytes is cut off.
func Report(ctx context.Context, message string) error {
	report, ok := ctx.Value(reporterKey{}).(func(context.Context, string) error)
	if !ok {
		return errors.New("receiver: report: the context is not that of an attempt")
	}
	message = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""))
	if err := report(ctx, message); err != nil {
		return fmt.Errorf("receiver: report: %w", err)
	}
	return nil
}

var eventID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// newEventID returns a UUID of version 4 (RFC 9562, section 5.4): one that is not
// guessed, since it lets see and delete an event.
func newEventID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
