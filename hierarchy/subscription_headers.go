package hierarchy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const maxHeaders = 50

var (
	// reservedHeaders belong to the HTTP client (RFC 9110, 7.6.1 and 8.6; RFC
	// 9112) or to the dialect. Go's client replays a POST that carries one of
	// the idempotency keys.
	reservedHeaders = []string{
		"connection", "content-length", "content-type", "expect", "host", "idempotency-key", "keep-alive", "te",
		"trailer", "transfer-encoding", "upgrade", "user-agent", "x-idempotency-key",
	}
	reservedHeaderPrefixes = []string{"proxy-", "webhook-"}
)

// checkHeaders does not show values, which may be credentials.
func checkHeaders(headers map[string]string) error {
	if len(headers) > maxHeaders {
		return fmt.Errorf("has %d headers; at most %d are allowed", len(headers), maxHeaders)
	}
	size := 0
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
		size += len(name) + len(value)
		lower := strings.ToLower(name)
		var err error
		switch {
		case !isToken(name):
			err = errors.New("is not the name of a header (RFC 9110, section 5.1)")
		case slices.Contains(reservedHeaders, lower) || slices.ContainsFunc(reservedHeaderPrefixes, func(prefix string) bool {
			return strings.HasPrefix(lower, prefix)
		}):
			err = errors.New("is reserved")
		case seen[lower]:
			err = errors.New("is there twice")
		default:
			err = checkHeaderValue(value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", quoted(name), err)
		}
		seen[lower] = true
	}
	if size > maxMapBytes {
		return fmt.Errorf("has %d bytes; at most %d are allowed", size, maxMapBytes)
	}
	return nil
}

func checkHeaderValue(s string) error {
	if err := checkText(s, maxMapBytes); err != nil {
		return fmt.Errorf("its value %w", err)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errors.New("its value must not hold line breaks or other control characters")
	}
	if strings.Trim(s, " \t") != s {
		return errors.New("its value must not begin or end with white space")
	}
	return nil
}

// isToken follows RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
