// Package text checks texts that come from outside.
package text

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxID is how many characters principals, permissions and channels may have.
const MaxID = 512

// Check says why Postgres or a reader would not get s as it is, or that it has more
// than most characters.
func Check(s string, most int) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("must be valid UTF-8")
	case strings.ContainsRune(s, 0):
		return errors.New("must not hold NUL")
	case utf8.RuneCountInString(s) > most:
		return fmt.Errorf("has %d characters; at most %d are allowed", utf8.RuneCountInString(s), most)
	}
	return nil
}

// Quote shows foreign input in an error, never more than fits a line.
func Quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}

// CheckName says whether name can name a dialect or a receiver: 1 to 64 of [a-z0-9_-].
func CheckName(name string) error {
	valid := 1 <= len(name) && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		valid = valid && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !valid {
		return fmt.Errorf("name %q: must be 1 to 64 of a-z, 0-9, _ and -", name)
	}
	return nil
}
