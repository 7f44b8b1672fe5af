package filter

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
)

// Error says what is wrong with an expression, or why its evaluation failed. It
// tells nothing of the event.
type Error struct {
	Line, Column int // from 1, in characters; 0: the expression as a whole
	Reason       string
}

func (e *Error) Error() string {
	if e.Line < 1 || e.Column < 1 {
		return e.Reason
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

func refused(format string, args ...any) *Error { return &Error{Reason: fmt.Sprintf(format, args...)} }

// errorOf is the first of CEL's complaints.
func errorOf(issues *cel.Issues) error {
	const limit = 300
	all := issues.Errors()
	if len(all) == 0 {
		return refused("%s", issues.Err())
	}
	first := all[0]
	reason, _, _ := strings.Cut(first.Message, "\n")
	if len(reason) > limit {
		reason = strings.ToValidUTF8(reason[:limit], "") + "..."
	}
	return &Error{
		Line:   first.Location.Line(),
		Column: first.Location.Column() + 1,
		Reason: reason,
	}
}

func typeName(t *cel.Type) string {
	if t.IsExactType(cel.DynType) {
		return "of a type that only the data decides"
	}
	return "a " + t.String()
}

// Errors of our own that tell no value.
var (
	errDataSize = fmt.Errorf("the data has more than %d bytes", maxData)
	errDataJSON = errors.New("the data is not JSON")
	errPanicked = refused("the interpreter panicked")
	errTextSize = fmt.Errorf("matches is given a text of more than %d bytes", maxMatched)
)

// kinds are the beginnings of CEL's errors of evaluation that tell no value.
var kinds = []string{
	errDataSize.Error(), errDataJSON.Error(), errTextSize.Error(),
	"divide by zero", "division by zero", "duration overflow", "index out of bounds", "integer overflow", "invalid qualifier type",
	"modulus by zero", "no such attribute", "no such key", "no such overload", "optional.none() dereference", "return error for overflow",
	"timestamp overflow", "type conversion error", "unsigned integer overflow", "unsupported index type",
}

func kindOf(err error) string {
	for _, kind := range kinds {
		if strings.HasPrefix(err.Error(), kind) {
			return kind
		}
	}
	return "the evaluation failed"
}
