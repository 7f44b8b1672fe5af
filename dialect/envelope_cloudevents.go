package dialect

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// contentTypeCloudEvents is the content type of CloudEvents in structured mode (JSON
// Event Format 1.0).
const contentTypeCloudEvents = "application/cloudevents+json"

const cloudEventsVersion = "1.0"

// CloudEventsEnvelope makes CloudEvents 1.0: its methods Structured and Binary are
// each an [Envelope]. The zero value is ready to use; its functions are pure.
//
// The attributes of an event are id, source, specversion, type, subject, time (in UTC)
// and datacontenttype, and Extensions. One that is required and empty, or that has a
// control character or what is no character of Unicode, is an error. An event without data has neither
// data nor a datacontenttype.
type CloudEventsEnvelope struct {
	// DataContentType is the media type of the data. Data of application/json and
	// +json must be JSON in UTF-8. Data of another type is any bytes, which an
	// Envelope of yours makes of the JSON that it is given before it calls this one;
	// structured mode carries it as data_base64. Default: application/json.
	DataContentType string

	// Extensions are further attributes by their names, 1 to 20 of [a-z0-9]. ""
	// leaves one out. Default: none.
	Extensions map[string]func(Event) string

	// Source is the attribute source, a URI reference that with the id is unique to
	// the event. Default: the path of the event's site.
	Source func(Event) string

	// Subject is the attribute subject; "" leaves it out. Default: kind and id of
	// the resource as a path, "user/42", percent-encoded as such.
	Subject func(Event) string
}

// Structured is the event in JSON as application/cloudevents+json:
//
//	{"specversion":"1.0","id":"msg_1","source":"/noaa","type":"user.created","subject":"user/42",
//	"time":"2026-05-01T12:00:00.123Z","datacontenttype":"application/json","data":DATA}
//
// in one line. DATA is the data byte for byte.
func (c CloudEventsEnvelope) Structured(ev Event, data []byte) (Content, error) {
	attributes, err := c.attributes(ev, data)
	if err != nil {
		return Content{}, err
	}
	body := make([]byte, 0, len(data)+512)
	for i, a := range attributes {
		if i == 0 {
			body = append(body, '{')
		} else {
			body = append(body, ',')
		}
		// Both are UTF-8: attributes has looked.
		body, _ = appendString(body, a.name)
		body = append(body, ':')
		body, _ = appendString(body, a.value)
	}
	switch {
	case len(data) == 0:
	case c.json():
		body = append(body, `,"data":`...)
		body = append(body, data...)
	default:
		body = append(body, `,"data_base64":"`...)
		body = append(base64.StdEncoding.AppendEncode(body, data), '"')
	}
	return Content{Type: contentTypeCloudEvents, Body: append(body, '}')}, nil
}

// Binary is the data byte for byte, as DataContentType, with the other attributes in
// headers: "ce-" and the name, the value percent-encoded where HTTP needs it (HTTP
// Protocol Binding 1.0, section 3.1.3.2).
func (c CloudEventsEnvelope) Binary(ev Event, data []byte) (Content, error) {
	attributes, err := c.attributes(ev, data)
	if err != nil {
		return Content{}, err
	}
	content := Content{Headers: map[string]string{}, Body: data}
	for _, a := range attributes {
		if a.name == "datacontenttype" {
			content.Type = a.value
			continue
		}
		content.Headers["ce-"+a.name] = percentEncoded(a.value)
	}
	return content, nil
}

type attribute struct{ name, value string }

// attributes are those that are there, in the order in which they are written.
func (c CloudEventsEnvelope) attributes(ev Event, data []byte) ([]attribute, error) {
	source, subject := (&url.URL{Path: ev.Site}).String(), ""
	if source == "" {
		source = "/"
	}
	if c.Source != nil {
		source = c.Source(ev)
	}
	if _, err := url.Parse(source); err != nil {
		return nil, errors.New("CloudEvents: source is not a URI reference")
	}
	if ev.ResourceKind != "" {
		subject = url.PathEscape(ev.ResourceKind) + "/" + url.PathEscape(ev.ResourceID)
	}
	if c.Subject != nil {
		subject = c.Subject(ev)
	}
	at, err := timestamp(ev.OccurredAt)
	if err != nil {
		return nil, err
	}
	all := []attribute{
		{"specversion", cloudEventsVersion},
		{"id", ev.ID},
		{"source", source},
		{"type", ev.Type},
		{"subject", subject},
		{"time", at.Format(time.RFC3339Nano)},
	}
	for _, a := range all[:4] {
		if a.value == "" {
			return nil, fmt.Errorf("CloudEvents: %s is empty", a.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Extensions)) {
		if !extensionName(name) || slices.ContainsFunc(all, func(a attribute) bool { return a.name == name }) {
			return nil, fmt.Errorf("CloudEvents: no extension can be named %q", name)
		}
		all = append(all, attribute{name, c.Extensions[name](ev)})
	}
	if len(data) > 0 {
		if c.json() {
			if _, err := checkData(data); err != nil {
				return nil, err
			}
		}
		all = append(all, attribute{"datacontenttype", c.dataContentType()})
	}
	for _, a := range all {
		if !utf8.ValidString(a.value) || strings.ContainsFunc(a.value, forbiddenRune) {
			return nil, fmt.Errorf("CloudEvents: %s has a character that is not allowed", a.name)
		}
	}
	return slices.DeleteFunc(all, func(a attribute) bool { return a.value == "" }), nil
}

// forbiddenRune says what a String of CloudEvents cannot have (CloudEvents 1.0.2,
// section 3.1).
func forbiddenRune(r rune) bool {
	return r < ' ' || 0x7f <= r && r < 0xa0 || 0xfdd0 <= r && r < 0xfdf0 || r&0xfffe == 0xfffe
}

func extensionName(name string) bool {
	for i := range len(name) {
		if c := name[i]; ('a' > c || c > 'z') && ('0' > c || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 20 && name != "data" && name != "datacontenttype"
}

func (c CloudEventsEnvelope) dataContentType() string {
	if c.DataContentType == "" {
		return contentTypeJSON
	}
	return c.DataContentType
}

func (c CloudEventsEnvelope) json() bool {
	media, _, err := mime.ParseMediaType(c.dataContentType())
	return err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"))
}

// percentEncoded leaves printable ASCII but for space, quote and percent.
func percentEncoded(s string) string {
	const digits = "0123456789ABCDEF"
	var b bytes.Buffer
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
