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

// maxNamed is how many places that are not as they must be an error names.
const maxNamed = 10

// Error says where a document is not as it must be, and why. It shows names of
// properties, and no value of the document.
type Error struct {
	Pointer string // JSON Pointer (RFC 6901); "" is the whole document
	Reason  string

	others []*Error // further places, without others of their own
	more   int      // places that are not named
}

// Error implements error: the first 10 places, the deepest first, and how many more
// there are.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "at %q: %s", e.Pointer, e.Reason)
	for _, other := range e.others {
		fmt.Fprintf(&text, "; at %q: %s", other.Pointer, other.Reason)
	}
	if e.more > 0 {
		fmt.Fprintf(&text, "; and %d more", e.more)
	}
	return text.String()
}

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
	found := leaves(all, nil)
	for _, e := range found {
		e.shorten()
	}
	slices.SortFunc(found, deepestFirst)
	found = slices.CompactFunc(found, func(a, b *Error) bool { return a.Pointer == b.Pointer && a.Reason == b.Reason })
	first := found[0]
	first.others = found[1:min(len(found), maxNamed)]
	first.more = len(found) - 1 - len(first.others)
	return first
}

func deepestFirst(a, b *Error) int {
	return cmp.Or(
		-cmp.Compare(strings.Count(a.Pointer, "/"), strings.Count(b.Pointer, "/")),
		cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Reason, b.Reason))
}

// shorten bounds the pointer.
func (e *Error) shorten() {
	if len(e.Pointer) <= maxPointerBytes {
		return
	}
	end := maxPointerBytes
	for !utf8.RuneStart(e.Pointer[end]) {
		end--
	}
	e.Pointer = e.Pointer[:end] + "..."
}

// leaves are the failures that have no others behind them; of alternatives, of which
// one would have done, only one. Which of them the validator meets first is a matter of
// chance.
func leaves(e *validator.ValidationError, found []*Error) []*Error {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		var of []*Error
		for _, cause := range e.Causes {
			of = leaves(cause, of)
		}
		if len(of) > 0 {
			return append(found, slices.MinFunc(of, deepestFirst))
		}
	}
	for _, cause := range e.Causes {
		found = leaves(cause, found)
	}
	if len(e.Causes) > 0 {
		return found
	}
	at := pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			found = append(found, &Error{Pointer: at + pointer([]string{name}), Reason: "is a property that the schema does not allow"})
		}
	case *kind.Required:
		for _, name := range k.Missing {
			found = append(found, &Error{Pointer: at, Reason: fmt.Sprintf("has no property %q", name)})
		}
	default:
		found = append(found, &Error{Pointer: at, Reason: reasonOf(e.ErrorKind)})
	}
	return found
}

func reasonOf(failed validator.ErrorKind) string {
	switch k := failed.(type) {
	case *kind.FalseSchema:
		return "is not allowed by the schema"
	case *kind.Format:
		return fmt.Sprintf("is not of the format %q", k.Want)
	case *kind.Type:
		return fmt.Sprintf("is of the type %s, where the schema has %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Not:
		return `does not satisfy "not" of the schema`
	default:
		return fmt.Sprintf("does not satisfy %q of the schema", strings.Join(k.KeywordPath(), "/"))
	}
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
