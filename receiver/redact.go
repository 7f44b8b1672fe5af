package receiver

import (
	"net/http"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// credentials are parts of the names of headers that say who the sender is. A
// signature is none: it opens nothing, and with the body it can be verified again.
var credentials = []string{"apikey", "auth", "cookie", "credential", "password", "secret", "session", "token"}

// redact returns a copy of h that can be stored.
func redact(h http.Header, more []string) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		folded := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
		hidden := slices.ContainsFunc(credentials, func(part string) bool { return strings.Contains(folded, part) }) ||
			slices.ContainsFunc(more, func(other string) bool { return strings.EqualFold(other, name) })
		if hidden {
			out[name] = []string{redacted}
			continue
		}
		for _, value := range values {
			out[name] = append(out[name], strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
	return out
}
