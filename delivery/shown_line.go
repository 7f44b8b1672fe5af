package delivery

import (
	"net/http"
	"strings"
	"unicode"
)

// maxReasonPhrase bounds, in characters, what the history keeps of a reason phrase.
const maxReasonPhrase = 200

// reasonPhrase is that of an answer's status line (RFC 9112, section 4), which is of
// the endpoint's making. HTTP/2 has none, and net/http makes one up.
func reasonPhrase(resp *http.Response) string {
	if resp.ProtoMajor > 1 {
		return ""
	}
	_, phrase, _ := strings.Cut(resp.Status, " ")
	return shownLine(phrase, maxReasonPhrase)
}

// shownLine is a text that somebody else has made, in one line and fit to be shown, of
// at most so many characters.
func shownLine(text string, most int) string {
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
