// Package cursor says where a list goes on. A cursor is the key of the last row of a
// page in a form that callers hand back and do not read.
package cursor

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/uuid"
)

// ErrInvalid means that a text is no cursor of the list.
var ErrInvalid = errors.New("is not the Next of a page of this list")

// Kind is the list that a cursor is of.
type Kind byte

// The lists.
const (
	Deliveries    Kind = 'd'
	EventTypes    Kind = 't'
	Intents       Kind = 'i'
	Sites         Kind = 's'
	Subscriptions Kind = 'u'
)

// OfID is the cursor behind a row.
func (k Kind) OfID(last uuid.UUID) string { return k.OfText(string(last[:])) }

// OfText is the cursor behind a row whose key is a text.
func (k Kind) OfText(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(rune(k)) + last))
}

// ID is the key that OfID was given. "" is the place before the newest row: the
// greatest id.
func (k Kind) ID(cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Max, nil
	}
	text, err := k.Text(cursor)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.FromBytes([]byte(text))
	if err != nil {
		return uuid.Nil, ErrInvalid
	}
	return id, nil
}

// Text is the key that OfText was given. "" is the place before the first row.
func (k Kind) Text(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	key, mine := strings.CutPrefix(string(text), string(rune(k)))
	if err != nil || !mine {
		return "", ErrInvalid
	}
	return key, nil
}

// Page cuts rows that are one more than limit where more follow, and returns the
// cursor behind the last; "" where none follow.
func Page[T any](rows []T, limit int, of func(last T) string) (page []T, next string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], of(rows[limit-1])
}
