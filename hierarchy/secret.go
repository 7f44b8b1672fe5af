package hierarchy

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

const (
	secretPrefix   = "whsec_"
	newSecretBytes = 32
	minSecretBytes = 24
	maxSecretBytes = 64
	redacted       = "[redacted]"
)

// Secret is what requests to a subscription are signed with, in the form of
// Standard Webhooks: "whsec_" and the standard base64 of 24 to 64 random bytes.
// However it is printed, logged or marshaled it shows "[redacted]"; [Secret.Reveal]
// alone gives it away.
type Secret string

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, and so covers JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or nothing when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// bytes decodes the secret. Its errors do not show it.
func (s Secret) bytes() ([]byte, error) {
	encoded, found := strings.CutPrefix(string(s), secretPrefix)
	if !found {
		return nil, fmt.Errorf("must begin with %q", secretPrefix)
	}
	value, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("must be standard base64 with padding behind its prefix")
	}
	if len(value) < minSecretBytes || len(value) > maxSecretBytes {
		return nil, fmt.Errorf("has %d bytes once decoded; %d to %d are allowed", len(value), minSecretBytes, maxSecretBytes)
	}
	return value, nil
}

func secretOf(value []byte) Secret {
	return Secret(secretPrefix + base64.StdEncoding.EncodeToString(value))
}

// secretOrNew decodes the given secret, or makes one where none is given.
func secretOrNew(given Secret) ([]byte, error) {
	if given == "" {
		value := make([]byte, newSecretBytes)
		rand.Read(value)
		return value, nil
	}
	value, err := given.bytes()
	if err != nil {
		return nil, &InvalidSubscriptionError{Field: "Secret", Reason: err.Error()}
	}
	return value, nil
}
