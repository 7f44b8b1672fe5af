package dialect

import (
	"net/http"
	"time"
)

// Dialect is a named wire format. It makes the message of an intent once, and
// then a request from that message for each attempt.
//
// A dialect is pure: the same input gives the same output. It has no clock, no
// state between calls and does no I/O; the time and the secrets of an attempt
// come in as arguments. It must not modify its arguments, nor keep them except
// in what it returns, and it is safe for concurrent use. What a message needs goes through its four stored
// parts (type, content type, headers, body): a message is made in one process
// and sent, perhaps days later, from another.
//
// Applications may implement it, best by [NewCustom], and check theirs with
// dialecttest.Run. It will not gain methods: more abilities come as further
// interfaces, as [Verifier] does.
type Dialect interface {
	// Name is the name that subscriptions refer to: 1 to 64 of [a-z0-9_-].
	Name() string

	// Envelope makes the message of ev around data, the JSON that an
	// externalizer produced or that the intent carried. An error is an error
	// of this dialect and this intent alone.
	Envelope(ev Event, data []byte) (Message, error)

	// Request builds and signs the request of one attempt. The body of the
	// request is the body of the message, and what is signed is exactly that.
	Request(msg Message, to Destination, at Attempt) (Request, error)
}

// Verifier is the receiving half of a dialect that signs. now is the
// receiver's clock. A nil error says that the body is what the sender signed
// with one of the secrets; errors wrap [ErrMissingHeader], [ErrMalformed],
// [ErrTooOld], [ErrTooNew] or [ErrBadSignature]. It is pure and safe for
// concurrent use.
type Verifier interface {
	Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error
}

// Event is an intent as dialects and externalizers see it.
type Event struct {
	// ID is the wire id, the same for each attempt and each subscription:
	// 1 to 128 of [A-Za-z0-9_-].
	ID string `json:"id"`
	// Type is the event type, such as "user.created".
	Type string `json:"type"`
	// Site is the path where the resource lives; ActiveSite is where the
	// operation ran, "" when that is the same.
	Site       string `json:"site"`
	ActiveSite string `json:"active_site"`
	Channel    string `json:"channel"`
	Actor      string `json:"actor"`

	ResourceKind string `json:"resource_kind"`
	ResourceID   string `json:"resource_id"`

	// Attributes and Data are the intent's; they are shared and must not be
	// modified. Data is JSON.
	Attributes map[string]string `json:"attributes"`
	Data       []byte            `json:"data"`

	// SchemaVersion is that of the type's JSON Schema by which Data was found
	// valid; 0 is none.
	SchemaVersion int `json:"schema_version"`

	OccurredAt time.Time `json:"occurred_at"`
}

// Message is what an intent says in one dialect. It is made once, stored, and
// sent unchanged to each subscription of that dialect on each attempt.
type Message struct {
	// ID is the wire id of the event.
	ID string `json:"id"`
	// Type is the event type.
	Type string `json:"type"`
	// ContentType is the value of the Content-Type header; "" sends none.
	ContentType string `json:"content_type"`
	// Headers are further headers that depend on the event, not on the attempt.
	Headers map[string]string `json:"headers"`
	// Body is what is sent and signed, byte for byte.
	Body []byte `json:"body"`
	// OccurredAt is the time of the event.
	OccurredAt time.Time `json:"occurred_at"`
}

// Destination is where a message goes.
type Destination struct {
	URL string `json:"url"`
	// Headers are the subscription's own. They never replace a header that
	// the dialect sets.
	Headers map[string]string `json:"headers"`
	// Secrets are those in force, newest first: several while old and new
	// ones overlap after a rotation.
	Secrets []Secret `json:"secrets"`
}

// Attempt is one try to deliver a message.
type Attempt struct {
	// Number counts the attempts of a delivery from 1.
	Number int `json:"number"`
	// At is the time of the attempt, which signatures carry.
	At time.Time `json:"at"`
}

// Request is an HTTP request, ready to be sent. Its header and body belong to
// the caller; the body may be the message's own bytes.
type Request struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}
