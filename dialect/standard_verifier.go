package dialect

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StandardVerifier verifies requests of Standard Webhooks 1.0.0, from Riverhook
// or any other sender. The zero value is ready to use.
//
// It needs webhook-id, webhook-timestamp and webhook-signature, in any
// spelling of case. The body must be the bytes that came, not decoded and
// encoded again. Any v1 signature of the list that matches any of the secrets
// passes; other versions and entries that cannot be read are skipped.
// Comparison takes constant time. Without a secret nothing passes.
//
// A request that passes can still come twice, by a retry or a replay within the
// tolerance: handle each webhook-id once.
type StandardVerifier struct {
	// Tolerance is how far the timestamp may be from now, before or after;
	// exactly that far is still accepted. 0 is 5 minutes; a negative one
	// makes Verify fail.
	Tolerance time.Duration
}

// Verify implements [Verifier].
func (v StandardVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	tolerance := v.Tolerance
	switch {
	case tolerance < 0:
		return errors.New("dialect: verify: StandardVerifier.Tolerance must not be negative")
	case tolerance == 0:
		tolerance = DefaultTolerance
	}

	id, err := oneHeader(h, HeaderWebhookID)
	if err != nil {
		return err
	}
	timestamp, err := oneHeader(h, HeaderWebhookTimestamp)
	if err != nil {
		return err
	}
	signatures := strings.Join(headerValues(h, HeaderWebhookSignature), " ")
	if strings.TrimSpace(signatures) == "" {
		return fmt.Errorf("%w: %s", ErrMissingHeader, HeaderWebhookSignature)
	}

	// With a "." in the id, what was signed as id "a", time 1, body "2.b" would
	// also verify as id "a.1", time 2, body "b".
	if strings.Contains(id, ".") {
		return fmt.Errorf(`%w: %s has a "."`, ErrMalformed, HeaderWebhookID)
	}
	if err := checkTimestamp(timestamp, now, tolerance); err != nil {
		return err
	}
	return matchSignature(parseSignatures(signatures), id, timestamp, body, secrets)
}

// Which of several values a proxy, a framework and we would take may differ.
func oneHeader(h http.Header, name string) (string, error) {
	values := headerValues(h, name)
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("%w: %s is there %d times", ErrMalformed, name, len(values))
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%w: %s", ErrMissingHeader, name)
	default:
		return values[0], nil
	}
}

func checkTimestamp(timestamp string, now time.Time, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != timestamp {
		return fmt.Errorf("%w: %s is not a count of seconds", ErrMalformed, HeaderWebhookTimestamp)
	}
	// Beyond some 10^11 years time.Unix wraps around.
	switch age := now.Sub(time.Unix(min(seconds, 1<<40), 0)); {
	case age > tolerance:
		return fmt.Errorf("%w: more than %s", ErrTooOld, tolerance)
	case age < -tolerance:
		return fmt.Errorf("%w: more than %s", ErrTooNew, tolerance)
	default:
		return nil
	}
}

// parseSignatures returns the base64 of each v1 signature of the list.
func parseSignatures(list string) []string {
	var found []string
	for token := range strings.FieldsSeq(list) {
		version, signature, ok := strings.Cut(token, ",")
		if ok && version == versionSymmetric && signature != "" {
			found = append(found, signature)
		}
	}
	return found
}

func matchSignature(signatures []string, id, timestamp string, body []byte, secrets []Secret) error {
	matches := 0
	for _, secret := range secrets {
		if secret.IsZero() { // anyone can sign with an empty key
			continue
		}
		want := []byte(standardMAC(secret, id, timestamp, body))
		for _, got := range signatures {
			matches |= subtle.ConstantTimeCompare(want, []byte(got))
		}
	}
	if matches != 1 {
		return ErrBadSignature
	}
	return nil
}
