package hierarchy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const maxHeaders = 50

var (
	// reservedHeaders belong to the HTTP client (RFC 9110, 7.6.1, 8 and 12.5.3; RFC
	// 9112) or to the dialect. Go's client replays a POST that carries one of
	// the idempotency keys. Content-* describes a body that is not the
	// subscription's; an encoding that it accepts would be kept undecoded.
	reservedHeaders = []string{
		"accept-encoding", "connection", "expect", "host", "http2-settings", "idempotency-key", "keep-alive", "te",
		"trailer", "transfer-encoding", "upgrade", "user-agent", "x-idempotency-key",
	}
	reservedHeaderPrefixes = []string{"content-", "proxy-", "webhook-"}
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
		folded := foldedHeader(name)
		var err error
		switch {
		case !isToken(name):
			err = errors.New("is not the name of a header (RFC 9110, section 5.1)")
		case isReservedHeader(folded):
			err = errors.New("is reserved")
		case seen[folded]:
			err = errors.New("is there twice")
		default:
			err = checkHeaderValue(value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", quoted(name), err)
		}
		seen[folded] = true
	}
	if size > maxMapBytes {
		return fmt.Errorf("has %d bytes; at most %d are allowed", size, maxMapBytes)
	}
	return nil
}

// foldedHeader is a header's name as a receiver may read it: CGI and WSGI cannot
// tell "_" from "-".
func foldedHeader(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

func isReservedHeader(folded string) bool {
	return slices.Contains(reservedHeaders, folded) || slices.ContainsFunc(reservedHeaderPrefixes, func(prefix string) bool {
		return strings.HasPrefix(folded, prefix)
	})
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
