package receiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Event is a webhook that came to a receiver.
type Event struct {
	// ID is the event's own: a random UUID in lower case.
	ID string `json:"id"`

	// Receiver is the name of the receiver that it came to.
	Receiver string `json:"receiver"`

	// Owner is whose token was in the hook URL; "" for a receiver without Tokens.
	Owner string `json:"owner"`

	// DeliveryID is the sender's id, by which it is told from others; "" where it
	// has none, and then each request is an event.
	DeliveryID string `json:"delivery_id"`

	// ContentType is that of the request, as it came.
	ContentType string `json:"content_type"`

	// Header is that of the request. The values of credentials are "[redacted]".
	Header http.Header `json:"header"`

	// Body is what was signed, byte for byte.
	Body []byte `json:"body"`

	// ReceivedAt is when it was stored first.
	ReceivedAt time.Time `json:"received_at"`

	// Attempt counts the runs of the Func from 1, also beyond MaxAttempts when an event
	// that had failed is tried anew.
	Attempt int `json:"attempt"`
}

// JSON decodes the body into v, as json.Unmarshal does. A byte order mark in front of it is
// ignored.
func (e Event) JSON(v any) error {
	if err := json.Unmarshal(withoutMark(e.Body), v); err != nil {
		return fmt.Errorf("receiver: event %s: %w", e.ID, err)
	}
	return nil
}

// Form decodes a body of the type application/x-www-form-urlencoded. Each field has
// all of its values, in their order.
func (e Event) Form() (url.Values, error) {
	if kindOf(e.ContentType) != formPayload {
		return nil, fmt.Errorf("receiver: event %s: the body is no form", e.ID)
	}
	values, err := url.ParseQuery(string(e.Body))
	if err != nil {
		return nil, fmt.Errorf("receiver: event %s: %w", e.ID, err)
	}
	return values, nil
}

// Response is what a Func answers. The zero value is 201 with a body that says so.
type Response struct {
	// Status is 200 to 599. Whatever it is, the event is done. 0 is 201.
	Status int `json:"status"`

	// ContentType is that of Body. Default: application/json.
	ContentType string `json:"content_type"`

	// Body is sent as it is. Default: {"message":...,"status":...}.
	Body []byte `json:"body"`
}

func (r Response) check() error {
	if r.Status != 0 && (r.Status < http.StatusOK || r.Status > 599) {
		return fmt.Errorf("the Func answered the status %d: it must be 200 to 599", r.Status)
	}
	return nil
}

// ErrPermanent is what a Func's error wraps when no further attempt will help: the
// event has then failed for good.
var ErrPermanent = errors.New("receiver: no attempt will help")
