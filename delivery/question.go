package delivery

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/payload"
)

// ErrInvalidQuestion is behind the error for a Question that cannot be asked, which
// names the field.
var ErrInvalidQuestion = errors.New("invalid question")

const (
	// The same as of an outbox.Intent.
	maxQuestionAttributes = 64 << 10 // bytes
	maxQuestionKind       = 128      // characters, of a resource's kind
	maxQuestionText       = 512      // of the other texts
)

// Question is what Ask puts to gates: may this be done? Its fields mean what those of
// an outbox.Intent do.
type Question struct {
	// ActiveSite is where the operation runs. Default: none.
	ActiveSite hierarchy.Path `json:"active_site"`

	// Actor is the principal who wants it done.
	Actor string `json:"actor"`

	// Attributes are free: shown in the history, seen by checkers and
	// externalizers, not sent by themselves.
	Attributes map[string]string `json:"attributes"`

	// Channel is the channel. Default: none.
	Channel string `json:"channel"`

	// Data are the parameters by which gates decide, as JSON: encoded now;
	// json.RawMessage and []byte must hold JSON and are sent byte for byte. An
	// externalizer for the question's pattern ("before:user.*") takes precedence over them.
	// Default: null.
	Data any `json:"data"`

	// Resource is what it is to be done to.
	Resource access.Resource `json:"resource"`

	// Site is where the resource lives. Default: "/".
	Site hierarchy.Path `json:"site"`

	// Timeout bounds the answers of all gates together. A ctx that ends earlier goes
	// before it. At least 1 ms. Default: Config.Timeouts.Ask.
	Timeout time.Duration `json:"timeout_ns"`

	// Type names what is to be done, without "before:": 1 to 8 segments as of an
	// event type, such as "user.delete". It need not be the type of an event. If it is one that
	// is registered, gates of the types that it extends are asked too; its
	// schemas are for events. Required.
	Type string `json:"type"`
}

// event checks the question and encodes it as dialects see it, without its id and its time.
func (q *Question) event(maxBytes int) (dialect.Event, error) {
	refuse := func(field string, err error) (dialect.Event, error) {
		return dialect.Event{}, fmt.Errorf("%w: %s: %w", ErrInvalidQuestion, field, err)
	}
	typ := eventtype.BeforePrefix + q.Type
	if err := eventtype.CheckQuestionType(typ); err != nil {
		return refuse("Type", err)
	}
	site := q.Site
	def(&site, hierarchy.Root)
	for field, path := range map[string]hierarchy.Path{"Site": site, "ActiveSite": q.ActiveSite} {
		if path == "" {
			continue
		}
		if _, err := hierarchy.ParsePath(string(path)); err != nil {
			return refuse(field, err)
		}
	}
	if field, err := q.checkTexts(); err != nil {
		return refuse(field, err)
	}
	if q.Timeout != 0 && q.Timeout < time.Millisecond {
		return refuse("Timeout", errors.New(tooShort(q.Timeout)))
	}
	data, err := payload.Encode(q.Data)
	if err == nil {
		err = payload.Check(data)
	}
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("has %d bytes; Config.Limits.RequestBytes allows %d", len(data), maxBytes)
	}
	if err != nil {
		return refuse("Data", err)
	}
	return dialect.Event{
		Type:         typ,
		Site:         string(site),
		ActiveSite:   string(q.ActiveSite),
		Channel:      q.Channel,
		Actor:        q.Actor,
		ResourceKind: q.Resource.Kind,
		ResourceID:   q.Resource.ID,
		Attributes:   maps.Clone(q.Attributes),
		Data:         data,
	}, nil
}

func (q *Question) checkTexts() (field string, err error) {
	if (q.Resource.Kind == "") != (q.Resource.ID == "") {
		return "Resource", errors.New("needs both a kind and an id, or neither")
	}
	for _, text := range []struct {
		field, value string
		most         int
	}{
		{"Actor", q.Actor, maxQuestionText},
		{"Channel", q.Channel, maxQuestionText},
		{"Resource.ID", q.Resource.ID, maxQuestionText},
		{"Resource.Kind", q.Resource.Kind, maxQuestionKind},
	} {
		if !isText(text.value) {
			return text.field, errors.New("must be valid UTF-8 without NUL")
		}
		if n := utf8.RuneCountInString(text.value); n > text.most {
			return text.field, fmt.Errorf("has %d characters; at most %d are allowed", n, text.most)
		}
	}
	size := 0
	for key, value := range q.Attributes {
		if !isText(key) || !isText(value) {
			return "Attributes", errors.New("must be valid UTF-8 without NUL")
		}
		size += len(key) + len(value)
	}
	if size > maxQuestionAttributes {
		return "Attributes", fmt.Errorf("have %d bytes; at most %d are allowed", size, maxQuestionAttributes)
	}
	return "", nil
}

// isQuestion says of a type, or of a pattern, whether it is of questions.
func isQuestion(eventType string) bool { return strings.HasPrefix(eventType, eventtype.BeforePrefix) }
