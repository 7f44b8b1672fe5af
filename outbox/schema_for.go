package outbox

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	derive "github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/jsonschema"
	"github.com/riverhook/riverhook/internal/payload"
)

// SchemaFor derives a JSON Schema of 2020-12 from a type, for
// [EventSchema].Schema: of what encoding/json makes of its values. Fields are
// required unless they have omitempty or omitzero, others are not allowed; what can
// be nil can be null. A tag `jsonschema:"..."` of a field is its description. A
// type with a MarshalJSON of its own may be anything, one with a MarshalText is a
// string, time.Time a date-time and uuid.UUID a uuid.
//
// An error says why there is none: a type that refers to itself, or has what
// encoding/json cannot encode, or one whose zero value, encoded, is not valid by the
// schema, as with the option string of a tag. A change of the type is a new Version.
func SchemaFor[T any]() (json.RawMessage, error) {
	t := reflect.TypeFor[T]()
	known := encodings{}
	known.add(t, map[reflect.Type]bool{})
	derived, err := derive.ForType(t, &derive.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, fmt.Errorf("outbox: schema for %v: %w", t, err)
	}
	settle(derived)
	text, err := json.Marshal(derived)
	if err != nil {
		return nil, fmt.Errorf("outbox: schema for %v: %w", t, err)
	}
	schema, err := jsonschema.Compile(text, jsonschema.Draft2020_12)
	if err != nil {
		return nil, fmt.Errorf("outbox: schema for %v: %w", t, err)
	}
	var zero T
	if data, err := payload.Marshal(zero); err == nil {
		if err := schema.Validate(data); err != nil {
			return nil, fmt.Errorf("outbox: schema for %v: its zero value is not valid by it: %w", t, err)
		}
	}
	return text, nil
}

// encodings has the schemas of types that encoding/json does not encode by their
// kind.
type encodings map[reflect.Type]*derive.Schema

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// add adds what is in t, and was not seen yet.
func (e encodings) add(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if s := encodingOf(t); s != nil {
		e[t] = s
		return
	}
	switch t.Kind() {
	case reflect.Array, reflect.Map, reflect.Pointer, reflect.Slice:
		e.add(t.Elem(), seen)
	case reflect.Struct:
		for _, field := range reflect.VisibleFields(t) {
			e.add(field.Type, seen)
		}
	default:
	}
}

// encodingOf returns the schema of a type that has one of its own; nil: its kind
// says how it is encoded.
func encodingOf(t reflect.Type) *derive.Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &derive.Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[uuid.UUID]():
		return &derive.Schema{Type: "string", Format: "uuid"}
	case t == reflect.TypeFor[json.Number]():
		return &derive.Schema{Type: "number"}
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil
	case t.Implements(jsonMarshaler), reflect.PointerTo(t).Implements(jsonMarshaler):
		return &derive.Schema{Types: []string{"null", "boolean", "number", "string", "array", "object"}} // anything
	case t.Implements(textMarshaler), reflect.PointerTo(t).Implements(textMarshaler):
		return &derive.Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &derive.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
	default:
		return nil
	}
}

// settle lets maps be null, as nil ones are encoded, and sorts the names of
// required properties, so that the order of fields does not count.
func settle(s *derive.Schema) {
	if s == nil {
		return
	}
	if s.Type == "object" && s.Properties == nil {
		s.Type, s.Types = "", []string{"null", "object"}
	}
	slices.Sort(s.Required)
	for _, property := range s.Properties {
		settle(property)
	}
	settle(s.Items)
	settle(s.AdditionalProperties)
}
