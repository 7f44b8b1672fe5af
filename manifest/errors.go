package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const maxErrors = 100

// ErrInvalid is what every [Errors] is: a file has to be corrected.
var ErrInvalid = errors.New("invalid manifest")

// Error says what is wrong with a file, and where. It shows no value that may be a
// secret.
type Error struct {
	File   string // as it was given to Parse
	Line   int    // from 1
	Column int    // from 1, in characters
	Field  string // "subscriptions.crm.url"; "" is the whole file
	Reason string

	err error
}

// Error implements error: file:line:column: field: reason.
func (e *Error) Error() string {
	at := fmt.Sprintf("%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Field != "" {
		at += e.Field + ": "
	}
	return at + e.Reason
}

// Unwrap returns the error of the store that refused the value, such as a
// [*subscription.InvalidError]; nil where this package did.
func (e *Error) Unwrap() error { return e.err }

// Errors are all that was found wrong with a file, up to 100, in the order of
// their places.
type Errors []*Error

// Error implements error, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns [ErrInvalid] and each of the errors.
func (e Errors) Unwrap() []error {
	all := make([]error, 1, 1+len(e))
	all[0] = ErrInvalid
	for _, one := range e {
		all = append(all, one)
	}
	return all
}

// orNil sorts the errors; none are nil.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}
