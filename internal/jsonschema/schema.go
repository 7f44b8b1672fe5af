// Package jsonschema compiles JSON Schemas and checks data by them. It loads
// nothing: a schema is what its own text says.
package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/riverhook/riverhook/internal/payload"
)

// The drafts of JSON Schema that are understood.
const (
	Draft7       = "draft-07"
	Draft2020_12 = "2020-12"
)

// base is the address of a schema that has no $id of its own.
const base = "riverhook:///schema"

var drafts = map[string]*validator.Draft{Draft7: validator.Draft7, Draft2020_12: validator.Draft2020}

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	Draft string // Draft7 or Draft2020_12

	compiled *validator.Schema
}

// Compile reads a schema. The draft is that of its $schema; where it names none
// it is the one that is given, and Draft2020_12 if that is empty too. The error
// is an [*Error].
func Compile(text []byte, draft string) (*Schema, error) {
	if err := payload.Check(text); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	doc, err := Decode(text)
	if err != nil {
		return nil, err
	}
	draft, err = draftOf(doc, draft)
	if err != nil {
		return nil, err
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(drafts[draft])
	c.UseLoader(nothing{})
	if err := c.AddResource(base, doc); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	compiled, err := c.Compile(base)
	if err != nil {
		return nil, schemaError(err)
	}
	return &Schema{Draft: draft, compiled: compiled}, nil
}

// Validate says where and why data, which must be JSON, is not as the schema
// says: an [*Error] that names the deepest of the failing places.
func (s *Schema) Validate(data []byte) error {
	doc, err := Decode(data)
	if err != nil {
		return err
	}
	if err := s.compiled.Validate(doc); err != nil {
		return dataError(err)
	}
	return nil
}

func draftOf(doc any, given string) (string, error) {
	if _, ok := drafts[given]; !ok && given != "" {
		return "", &Error{Reason: fmt.Sprintf("the draft is neither %s nor %s", Draft2020_12, Draft7)}
	}
	object, _ := doc.(map[string]any)
	name, ok := object["$schema"].(string)
	if !ok {
		if given == "" {
			given = Draft2020_12
		}
		return given, nil
	}
	var named string
	switch strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "http://"), "https://"), "#") {
	case "json-schema.org/draft/2020-12/schema":
		named = Draft2020_12
	case "json-schema.org/draft-07/schema":
		named = Draft7
	default:
		return "", &Error{Pointer: "/$schema", Reason: fmt.Sprintf("names neither the draft %s nor %s", Draft2020_12, Draft7)}
	}
	if given != "" && given != named {
		return "", &Error{Pointer: "/$schema", Reason: fmt.Sprintf("names the draft %s, where %s is given", named, given)}
	}
	return named, nil
}

// nothing is a loader that has nothing, neither on disk nor elsewhere.
type nothing struct{}

var errOutside = errors.New("nothing outside of the schema is loaded")

func (nothing) Load(string) (any, error) { return nil, errOutside }

// Decode reads JSON for comparison and for validation. It keeps numbers as they are written. Those beyond all that programs
// exchange are refused: to compute with 1e999999 takes milliseconds, and there is
// room for many.
func Decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, &Error{Reason: "must be valid JSON"}
	}
	if place, ok := tooLarge(doc); ok {
		return nil, &Error{Pointer: pointer(place), Reason: "is a number with an exponent of more than 3 digits"}
	}
	return doc, nil
}

// tooLarge returns the place of a number that is too large, from the inside out.
func tooLarge(v any) (place []string, found bool) {
	switch v := v.(type) {
	case json.Number:
		_, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
		return nil, len(strings.TrimLeft(exponent, "+-0")) > 3
	case []any:
		for i, item := range v {
			if place, found := tooLarge(item); found {
				return append([]string{strconv.Itoa(i)}, place...), true
			}
		}
	case map[string]any:
		for name, item := range v {
			if place, found := tooLarge(item); found {
				return append([]string{name}, place...), true
			}
		}
	}
	return nil, false
}
