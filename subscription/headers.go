package subscription

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/internal/text"
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
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
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
			return fmt.Errorf("%s: %w", text.Quote(name), err)
		}
		seen[folded] = true
	}
	if size := headerBytes(headers); size > maxMapBytes {
		return fmt.Errorf("has %d bytes; at most %d are allowed", size, maxMapBytes)
	}
	return nil
}

// checkSecretHeaders is checkHeaders for those that are sealed. What is shown in
// place of a value would be taken for one when what was read is written back.
func checkSecretHeaders(headers map[string]string) error {
	for name, value := range headers {
		if value == redacted {
			return fmt.Errorf("%s: its value is %q, which is shown in place of one", text.Quote(name), redacted)
		}
	}
	return checkHeaders(headers)
}

// checkAllHeaders holds what is sealed and what is not against each other, and
// both together against the limits of one. It names the field that was given.
func (u Update) checkAllHeaders(sub *Subscription) error {
	if u.Headers == nil && u.SecretHeaders == nil {
		return nil
	}
	field, other := "SecretHeaders", "Headers"
	if u.SecretHeaders == nil {
		field, other = other, field
	}
	invalid := func(format string, args ...any) error {
		return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	secret := make(map[string]bool, len(sub.SecretHeaders))
	for name := range sub.SecretHeaders {
		secret[foldedHeader(name)] = true
	}
	for name := range sub.Headers {
		if secret[foldedHeader(name)] {
			return invalid("%s: is in %s as well", text.Quote(name), other)
		}
	}
	if n := len(sub.Headers) + len(sub.SecretHeaders); n > maxHeaders {
		return invalid("has %d headers with those of %s; at most %d are allowed", n, other, maxHeaders)
	}
	if size := headerBytes(sub.Headers) + sub.secretHeaderBytes; size > maxMapBytes {
		return invalid("has %d bytes with those of %s; at most %d are allowed", size, other, maxMapBytes)
	}
	return nil
}

func headerBytes(headers map[string]string) int {
	size := 0
	for name, value := range headers {
		size += len(name) + len(value)
	}
	return size
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
	if err := text.Check(s, maxMapBytes); err != nil {
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
