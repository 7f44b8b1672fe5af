package dialect

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Sizes of the key of a secret, in bytes (Standard Webhooks 1.0.0).
const (
	MinSecretBytes = 24
	MaxSecretBytes = 64
)

const (
	secretPrefix = "whsec_"
	redacted     = "[redacted]"
)

// ErrInvalidSecret is what ParseSecret and NewSecret fail with. Its text never
// has a part of the secret.
var ErrInvalidSecret = errors.New("dialect: invalid secret")

// Secret is a shared secret of a subscription, in the form of Standard
// Webhooks: "whsec_" and base64 of 24 to 64 bytes. However it is printed,
// logged or encoded, it shows "[redacted]"; Reveal and Key give it away. The
// zero value is no secret, and signers refuse it.
type Secret struct {
	// fmt prints the unexported fields of a struct that holds a Secret without
	// asking its methods, and follows pointers to structs and slices. Of a
	// pointer to a string it prints the address.
	key *string
}

// ParseSecret parses the "whsec_..." form: standard base64 with padding, of 24
// to 64 bytes. It is strict: no white space, no other alphabet.
func ParseSecret(s string) (Secret, error) {
	enc, ok := strings.CutPrefix(s, secretPrefix)
	if !ok {
		return Secret{}, fmt.Errorf("%w: it must start with %q", ErrInvalidSecret, secretPrefix)
	}
	// The decoder skips line ends.
	if strings.ContainsAny(enc, "\r\n") {
		return Secret{}, fmt.Errorf("%w: not base64", ErrInvalidSecret)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(enc)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: not base64", ErrInvalidSecret)
	}
	return NewSecret(raw)
}

// NewSecret returns the secret whose key is raw, of 24 to 64 bytes. It copies raw.
func NewSecret(raw []byte) (Secret, error) {
	if n := len(raw); n < MinSecretBytes || n > MaxSecretBytes {
		return Secret{}, fmt.Errorf("%w: %d bytes, must be %d to %d",
			ErrInvalidSecret, n, MinSecretBytes, MaxSecretBytes)
	}
	key := string(raw)
	return Secret{key: &key}, nil
}

// Key returns a copy of the bytes of the key, for signers; nil for no secret.
func (s Secret) Key() []byte {
	if s.key == nil {
		return nil
	}
	return []byte(*s.key)
}

// Reveal returns the "whsec_..." form; "" for no secret.
func (s Secret) Reveal() string {
	if s.key == nil {
		return ""
	}
	return secretPrefix + base64.StdEncoding.EncodeToString([]byte(*s.key))
}

// IsZero says whether s is no secret.
func (s Secret) IsZero() bool { return s.key == nil }

// Equal says whether s and other have the same key, in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(s.Key(), other.Key()) == 1
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format implements [fmt.Formatter]: "[redacted]" for each verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]: "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler]: "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
