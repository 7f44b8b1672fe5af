package dialect

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// These say how the message travels over one connection, and belong to the
// transport (RFC 9110, section 7.6.1; RFC 9112, section 6).
func transportHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// neverADestinations are names that no subscription can set, whatever the dialect:
// those of the transport, what describes a body that is not its own, and those by
// which net/http takes a POST for one that can be repeated.
func neverADestinations(name string) bool {
	switch name := folded(name); name {
	case "idempotency-key", "x-idempotency-key":
		return true
	default:
		return strings.HasPrefix(name, "content-") || transportHeader(name)
	}
}

// folded is a header's name as a receiver may read it.
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// checkHeader never shows the value, which may be a credential. A line break in
// it would let a value add headers of its own.
func checkHeader(name, value string) error {
	if err := checkHeaderName(name); err != nil {
		return err
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("header %s: the value has a control character (byte %d)", name, i)
		}
	}
	return nil
}

// A token of RFC 9110, section 5.6.2.
func checkHeaderName(name string) error {
	if name == "" {
		return fmt.Errorf("header %q: the name is empty", name)
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return fmt.Errorf("header %q: the name has a character that is not allowed", name)
		}
	}
	return nil
}

// sortedNames has names that differ in case only in a fixed order, so that the
// same one wins each time.
func sortedNames(headers map[string]string) []string {
	return slices.Sorted(maps.Keys(headers))
}

func setHeader(h http.Header, name, value string) error {
	if err := checkHeader(name, value); err != nil {
		return err
	}
	h.Set(name, value)
	return nil
}

// headerValues is h.Values for headers of any spelling, also when the map was
// not filled through http.Header's methods.
func headerValues(h http.Header, name string) []string {
	var values []string
	for key, vs := range h {
		if strings.EqualFold(key, name) {
			values = append(values, vs...)
		}
	}
	return values
}
