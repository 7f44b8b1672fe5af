package dialect

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAsymmetric is how many v1a signatures of a request are looked at.
const maxAsymmetric = 32

// StandardOpts are the options of [StandardVerifier] and [CloudEventsVerifier].
type StandardOpts struct {
	// PublicKeys are those whose v1a signatures pass, beside those of the Ed25519
	// secrets that Verify is given. Default: none.
	PublicKeys []PublicKey

	// Tolerance is how far the timestamp may be from now, before or after;
	// exactly that far is still accepted. 0 is 5 minutes; a negative one
	// makes Verify fail.
	Tolerance time.Duration
}

// StandardVerifier returns the verifier of requests of Standard Webhooks 1.0.0, from
// Riverhook or any other sender. It is an [Identifier]. nil opts are the defaults.
//
// It needs webhook-id, webhook-timestamp and webhook-signature, in any
// spelling of case. The body must be the bytes that came, not decoded and
// encoded again. Any v1 signature of the list that matches any of the shared
// secrets passes, and any v1a signature by one of the public keys; other versions
// and entries that cannot be read are skipped, and so are v1a signatures behind the
// 32nd. Comparison takes constant time. Without a secret and a key nothing passes.
//
// A request that passes can still come twice, by a retry or a replay within the
// tolerance: handle each webhook-id once.
func StandardVerifier(opts *StandardOpts) Verifier { return newStandardVerifier(opts) }

type standardVerifier StandardOpts

var _ Identifier = standardVerifier{}

func newStandardVerifier(opts *StandardOpts) standardVerifier {
	if opts == nil {
		return standardVerifier{}
	}
	return standardVerifier{PublicKeys: slices.Clone(opts.PublicKeys), Tolerance: opts.Tolerance}
}

// Verify implements [Verifier].
func (v standardVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	tolerance, err := toleranceOr(v.Tolerance, "StandardOpts")
	if err != nil {
		return err
	}
	id, err := oneHeader(h, headerWebhookID)
	if err != nil {
		return err
	}
	timestamp, err := oneHeader(h, headerWebhookTimestamp)
	if err != nil {
		return err
	}
	signatures := strings.Join(headerValues(h, headerWebhookSignature), " ")
	if strings.TrimSpace(signatures) == "" {
		return fmt.Errorf("%w: %s", ErrMissingHeader, headerWebhookSignature)
	}

	// With a "." in the id, what was signed as id "a", time 1, body "2.b" would
	// also verify as id "a.1", time 2, body "b".
	if strings.Contains(id, ".") {
		return fmt.Errorf(`%w: %s has a "."`, ErrMalformed, headerWebhookID)
	}
	if err := checkTimestamp(headerWebhookTimestamp, timestamp, now, tolerance); err != nil {
		return err
	}
	content := newSignedContent(id, timestamp, body)
	if matchShared(parseSignatures(signatures, versionSymmetric), content, secrets) ||
		v.matchPublic(parseSignatures(signatures, versionAsymmetric), content, secrets) {
		return nil
	}
	return ErrBadSignature
}

// DeliveryID implements [Identifier]: it is webhook-id, which is signed. CloudEvents in binary
// mode have the same one in ce-id.
func (standardVerifier) DeliveryID(h http.Header, _ []byte) string {
	return firstHeader(h, headerWebhookID)
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

func toleranceOr(tolerance time.Duration, of string) (time.Duration, error) {
	if tolerance < 0 {
		return 0, fmt.Errorf("dialect: verify: %s.Tolerance must not be negative", of)
	}
	if tolerance == 0 {
		return defaultTolerance, nil
	}
	return tolerance, nil
}

func checkTimestamp(header, timestamp string, now time.Time, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != timestamp {
		return fmt.Errorf("%w: %s has no count of seconds", ErrMalformed, header)
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

// parseSignatures returns the base64 of each signature of one version in the list.
func parseSignatures(list, version string) []string {
	var found []string
	for token := range strings.FieldsSeq(list) {
		of, signature, ok := strings.Cut(token, ",")
		if ok && of == version && signature != "" {
			found = append(found, signature)
		}
	}
	return found
}

func matchShared(signatures []string, content signedContent, secrets []Secret) bool {
	matches := 0
	for _, secret := range secrets {
		if secret.IsZero() || !secret.PublicKey().IsZero() { // anyone can sign with an empty key
			continue
		}
		want := []byte(content.mac(secret))
		for _, got := range signatures {
			matches |= subtle.ConstantTimeCompare(want, []byte(got))
		}
	}
	return matches == 1
}

// matchPublic looks at no more signatures than a sender in its right mind makes:
// each of them costs as much as some hundred HMACs.
func (v standardVerifier) matchPublic(signatures []string, content signedContent, secrets []Secret) bool {
	keys := slices.Clone(v.PublicKeys)
	for _, secret := range secrets {
		keys = append(keys, secret.PublicKey())
	}
	keys = slices.DeleteFunc(keys, PublicKey.IsZero)
	if len(signatures) == 0 || len(keys) == 0 {
		return false
	}
	signed := content.joined()
	for _, encoded := range signatures[:min(len(signatures), maxAsymmetric)] {
		signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(signature) != ed25519.SignatureSize {
			continue
		}
		for _, key := range keys {
			if ed25519.Verify(key.Key(), signed, signature) {
				return true
			}
		}
	}
	return false
}
