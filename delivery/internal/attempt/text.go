package attempt

import (
	"fmt"
	"strings"
	"unicode"
)

// ShownLine is a text that somebody else has made, in one line and fit to be shown, of
// at most so many characters.
func ShownLine(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) {
		if n > 0 {
			word = " " + word
		}
		for _, r := range word {
			if n == most {
				return b.String() + "..."
			}
			b.WriteRune(r)
			n++
		}
	}
	return b.String()
}

// Plural is a number with the noun that fits it.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
