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
