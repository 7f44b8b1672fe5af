package jsonschema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxPointerBytes bounds what is shown of a pointer: it has names from the data.
const maxPointerBytes = 512

// Error says where a document is not as it must be, and why. It shows names of
// properties, and no value of the document.
type Error struct {
	Pointer string // JSON Pointer (RFC 6901); "" is the whole document
	Reason  string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("at %q: %s", e.Pointer, e.Reason) }

func schemaError(err error) error {
	var invalid *validator.SchemaValidationError
	var load *validator.LoadURLError
	var regex *validator.InvalidRegexError
	switch {
	case errors.As(err, &invalid):
		return dataError(invalid.Err)
	case errors.As(err, &load):
		return &Error{Reason: fmt.Sprintf("refers to %.200q: %v", load.URL, load.Err)}
	case errors.As(err, &regex):
		return &Error{Reason: fmt.Sprintf("has a pattern that is not one of Go's package regexp: %v", regex.Err)}
	default:
		return &Error{Reason: strings.ReplaceAll(err.Error(), base, "")}
	}
}

func dataError(err error) error {
	var all *validator.ValidationError
	if !errors.As(err, &all) {
		return &Error{Reason: err.Error()}
	}
	failed := slices.MinFunc(leaves(all, nil), func(a, b *Error) int {
		return cmp.Or(
			-cmp.Compare(strings.Count(a.Pointer, "/"), strings.Count(b.Pointer, "/")),
			cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Reason, b.Reason))
	})
	if len(failed.Pointer) > maxPointerBytes {
		end := maxPointerBytes
		for !utf8.RuneStart(failed.Pointer[end]) {
			end--
		}
		failed.Pointer = failed.Pointer[:end] + "..."
	}
	return failed
}

// leaves are the failures that have no others behind them. Which of them the
// validator meets first is a matter of chance.
func leaves(e *validator.ValidationError, found []*Error) []*Error {
	for _, cause := range e.Causes {
		found = leaves(cause, found)
	}
	if len(e.Causes) == 0 {
		found = append(found, leaf(e))
	}
	return found
}

func leaf(e *validator.ValidationError) *Error {
	at := &Error{Pointer: pointer(e.InstanceLocation)}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		at.Pointer += pointer([]string{slices.Min(k.Properties)})
		at.Reason = "is a property that the schema does not allow"
	case *kind.FalseSchema:
		at.Reason = "is not allowed by the schema"
	case *kind.Format:
		at.Reason = fmt.Sprintf("is not of the format %q", k.Want)
	case *kind.Required:
		at.Reason = fmt.Sprintf("has no property %q", slices.Min(k.Missing))
	case *kind.Type:
		at.Reason = fmt.Sprintf("is of the type %s, where the schema has %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Not:
		at.Reason = `does not satisfy "not" of the schema`
	default:
		at.Reason = fmt.Sprintf("does not satisfy %q of the schema", strings.Join(k.KeywordPath(), "/"))
	}
	return at
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(place []string) string {
	var all strings.Builder
	for _, name := range place {
		all.WriteString("/")
		all.WriteString(escapes.Replace(name))
	}
	return all.String()
}
