package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/riverhook/riverhook/internal/jsonschema"
	"github.com/riverhook/riverhook/internal/payload"
	"github.com/riverhook/riverhook/internal/store"
)

const maxSchemaBytes = 256 << 10

// Drafts of JSON Schema that an [EventSchema] can have.
const (
	Draft2020_12 = jsonschema.Draft2020_12
	Draft7       = jsonschema.Draft7
)

// EventSchema is a version of what the data of an event type must be.
type EventSchema struct {
	// Version is a number from 1 on that names the schema within its type. What
	// is registered under it stays: a changed schema is another version.
	Version int `json:"version"`

	// Draft is Draft2020_12 or Draft7. Empty: that of "$schema" in the Schema, or
	// Draft2020_12 where that is missing too.
	Draft string `json:"draft"`

	// Schema is a JSON Schema of at most 256 KiB. "format" is enforced, for the
	// formats that the specification defines apart from idn-email and
	// idn-hostname; patterns are those of package regexp. A "$ref" to anything
	// outside of the text is refused: nothing is loaded from disk or network.
	Schema json.RawMessage `json:"schema"`

	// Example is data for people to see and for tests to send, as valid by the
	// Schema. At most 256 KiB. nil: none.
	Example json.RawMessage `json:"example"`

	// CreatedAt is set by the store.
	CreatedAt time.Time `json:"created_at"`
}

// schemaKey names a schema.
type schemaKey struct {
	eventType string
	version   int
}

// check says what is wrong with the schema, and fills in its draft.
func (s *EventSchema) check() error {
	if s.Version < 1 || s.Version > math.MaxInt32 {
		return errors.New("must be from 1 to 2147483647")
	}
	for name, text := range map[string][]byte{"Schema": s.Schema, "Example": s.Example} {
		if len(text) > maxSchemaBytes {
			return fmt.Errorf("%s: has %d bytes; at most %d are allowed", name, len(text), maxSchemaBytes)
		}
	}
	compiled, err := jsonschema.Compile(s.Schema, s.Draft)
	if err != nil {
		return fmt.Errorf("Schema: %w", err)
	}
	s.Draft = compiled.Draft
	if len(s.Example) == 0 {
		return nil
	}
	if err := payload.Check(s.Example); err != nil {
		return fmt.Errorf("Example: %w", err)
	}
	if err := compiled.Validate(s.Example); err != nil {
		return fmt.Errorf("Example: %w", err)
	}
	return nil
}

// newSchemas are those that are not registered as they are in types. One that
// is registered with another schema is an error.
func newSchemas(known map[schemaKey]store.EventSchema, types []EventType) ([]*store.PutEventSchemaParams, error) {
	var put []*store.PutEventSchemaParams
	for i := range types {
		for _, s := range types[i].Schemas {
			key := schemaKey{types[i].Name, s.Version}
			row, ok := known[key]
			if ok && (row.Draft != s.Draft || !sameJSON(row.Schema, s.Schema)) {
				return nil, &InvalidEventTypeError{
					Name:   key.eventType,
					Field:  "Schemas",
					Reason: fmt.Sprintf("version %d: is registered with another schema, which stays: give this one a version of its own", key.version),
				}
			}
			if ok && sameJSON(row.Example, s.Example) {
				continue
			}
			known[key] = store.EventSchema{
				Type:    key.eventType,
				Version: key.version,
				Draft:   s.Draft,
				Schema:  s.Schema,
				Example: s.Example,
			}
			put = append(put, &store.PutEventSchemaParams{
				Type:    key.eventType,
				Version: key.version,
				Draft:   s.Draft,
				Schema:  string(s.Schema),
				Example: string(s.Example),
			})
		}
	}
	return put, nil
}

func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errX := jsonschema.Decode(a)
	y, errY := jsonschema.Decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// withSchemas are the types of rows with all their schemas.
func withSchemas(ctx context.Context, q *store.Queries, rows []store.EventType) ([]EventType, error) {
	types := make([]EventType, len(rows))
	names := make([]string, len(rows))
	at := make(map[string]*EventType, len(rows))
	for i := range rows {
		types[i], names[i] = eventTypeOf(&rows[i]), rows[i].Name
		at[names[i]] = &types[i]
	}
	schemas, err := q.ListEventSchemas(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, row := range schemas {
		t := at[row.Type]
		t.Schemas = append(t.Schemas, EventSchema{
			CreatedAt: row.CreatedAt,
			Draft:     row.Draft,
			Example:   row.Example,
			Schema:    row.Schema,
			Version:   row.Version,
		})
	}
	return types, nil
}
