// Package payload says what the data of an event may be, whoever made it: an
// application that enqueues, or an externalizer.
package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxLevels is how many arrays and objects may be open at once. The SQL function
// nested_too_deep has the same.
const MaxLevels = 512

// Check says why a text is not JSON in UTF-8 that is nested no deeper than
// MaxLevels. Its error goes on behind the name of what was checked.
func Check(text []byte) error {
	switch {
	case !utf8.Valid(text):
		return errors.New("must be valid UTF-8")
	case Levels(text) > MaxLevels:
		return fmt.Errorf("is nested more than %d levels deep", MaxLevels)
	case !json.Valid(text):
		return errors.New("must be valid JSON")
	default:
		return nil
	}
}

// Levels is the greatest number of arrays and objects that are open at once. Of a
// text that is not JSON it is that of the part before the fault, at least.
func Levels(text []byte) int {
	deepest := 0
	open := 0
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			open++
			deepest = max(deepest, open)
		case c == ']' || c == '}':
			open--
		}
	}
	return deepest
}
