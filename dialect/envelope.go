package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// contentTypeJSON is the content type of the built-in envelopes.
const contentTypeJSON = "application/json"

// Content is what an [Envelope] makes.
type Content struct {
	// Type is the value of Content-Type.
	Type string `json:"type"`
	// Headers belong to this content; they win over those of the dialect.
	Headers map[string]string `json:"headers"`
	// Body is sent as it is.
	Body []byte `json:"body"`
}

// Envelope makes the body of a message from an event and its data, the part of
// a dialect that [CustomConfig] takes. It is pure like a [Dialect], and does
// not modify or keep data, except as the body itself.
type Envelope func(ev Event, data []byte) (Content, error)

// EnvelopeStandard is the payload that Standard Webhooks recommends:
//
//	{"type":"user.created","timestamp":"2026-05-01T12:00:00.123Z","data":DATA}
//
// The timestamp is that of the event, in UTC (RFC 3339, as many decimals of the
// second as there are). DATA is the data byte for byte: not compacted, nothing
// escaped. Data must be JSON in UTF-8; no data is null.
func EnvelopeStandard(ev Event, data []byte) (Content, error) {
	data, err := checkData(data)
	if err != nil {
		return Content{}, err
	}
	return standardContent(ev, data)
}

// EnvelopeThin has the form of EnvelopeStandard and tells only what happened to
// which resource; the receiver asks the application for the rest. DATA is
//
//	{"kind":"user","id":"42"}
//
// The data of the event is not used.
func EnvelopeThin(ev Event, _ []byte) (Content, error) {
	var data []byte
	data = append(data, `{"kind":`...)
	data, err := appendString(data, ev.ResourceKind)
	if err != nil {
		return Content{}, fmt.Errorf("resource kind: %w", err)
	}
	data = append(data, `,"id":`...)
	data, err = appendString(data, ev.ResourceID)
	if err != nil {
		return Content{}, fmt.Errorf("resource id: %w", err)
	}
	return standardContent(ev, append(data, '}'))
}

// EnvelopeBare is the data byte for byte and nothing else. Data must be JSON in
// UTF-8; no data is null.
func EnvelopeBare(_ Event, data []byte) (Content, error) {
	data, err := checkData(data)
	if err != nil {
		return Content{}, err
	}
	return Content{Type: contentTypeJSON, Body: data}, nil
}

// The body is put together by hand because json.Marshal compacts and
// HTML-escapes a json.RawMessage.
func standardContent(ev Event, data []byte) (Content, error) {
	at, err := timestamp(ev.OccurredAt)
	if err != nil {
		return Content{}, err
	}
	body := make([]byte, 0, len(data)+len(ev.Type)+80)
	body = append(body, `{"type":`...)
	body, err = appendString(body, ev.Type)
	if err != nil {
		return Content{}, fmt.Errorf("event type: %w", err)
	}
	body = append(body, `,"timestamp":`...)
	body = strconv.AppendQuote(body, at.Format(time.RFC3339Nano))
	body = append(body, `,"data":`...)
	body = append(body, data...)
	body = append(body, '}')
	return Content{Type: contentTypeJSON, Body: body}, nil
}

// timestamp is in UTC, and of a year that RFC 3339 can write.
func timestamp(at time.Time) (time.Time, error) {
	at = at.UTC()
	if year := at.Year(); year < 0 || year > 9999 {
		return at, fmt.Errorf("time of the event: the year %d has no form in RFC 3339", year)
	}
	return at, nil
}

func appendString(to []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8")
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	return append(to, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}

func checkData(data []byte) ([]byte, error) {
	switch {
	case len(data) == 0:
		return []byte("null"), nil
	case !utf8.Valid(data):
		return nil, errors.New("the data is not UTF-8")
	case !json.Valid(data):
		return nil, errors.New("the data is not JSON")
	default:
		return data, nil
	}
}
