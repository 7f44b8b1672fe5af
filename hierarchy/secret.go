package hierarchy

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	hmacPrefix      = "whsec_"
	privatePrefix   = "whsk_"
	publicKeyPrefix = "whpk_"

	newSecretBytes = 32
	minSecretBytes = 24
	maxSecretBytes = 64
	redacted       = "[redacted]"
)

// The kinds of signing secrets, by the version of their signatures in Standard
// Webhooks 1.0.0.
const (
	// SecretHMAC is shared with the receiver: HMAC-SHA256, which every library of
	// Standard Webhooks verifies. It is the default.
	SecretHMAC SecretKind = "v1"

	// SecretEd25519 is a key pair: the receiver knows the public key only, and can
	// verify but not sign. Few receivers can; the dialect must be able to.
	SecretEd25519 SecretKind = "v1a"
)

// SecretKind says how a secret signs.
type SecretKind string

// Secret is what requests to a subscription are signed with, in the form of
// Standard Webhooks: "whsec_" and the standard base64 of 24 to 64 random bytes, or
// "whsk_" and that of an Ed25519 private key, 64 bytes of which the last 32 are the
// public key.
//
// However it is printed, logged or marshaled it shows "[redacted]"; [Secret.Reveal]
// alone gives it away. Of an unexported field of your own, which no package can
// guard, fmt prints it: do not print structs that hold one so.
type Secret string

// Format implements fmt.Formatter: String for each verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Kind is how the secret signs, by its prefix; "" when it has neither.
func (s Secret) Kind() SecretKind {
	switch {
	case strings.HasPrefix(string(s), hmacPrefix):
		return SecretHMAC
	case strings.HasPrefix(string(s), privatePrefix):
		return SecretEd25519
	default:
		return ""
	}
}

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, and so covers JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// PublicKey is what the receiver verifies an Ed25519 signature with: "whpk_" and
// the base64 of 32 bytes. It is no secret. Of a secret that is none, or of another
// kind, it is "".
func (s Secret) PublicKey() string {
	if s.Kind() != SecretEd25519 || s.check() != nil {
		return ""
	}
	private, _ := s.bytes()
	return publicKeyPrefix + base64.StdEncoding.EncodeToString(private[ed25519.SeedSize:])
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]", or nothing when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// check says why this is no secret, without showing it.
func (s Secret) check() error {
	value, err := s.bytes()
	switch {
	case err != nil:
		return err
	case s.Kind() == SecretHMAC && (len(value) < minSecretBytes || len(value) > maxSecretBytes):
		return fmt.Errorf("has %d bytes once decoded; %d to %d are allowed", len(value), minSecretBytes, maxSecretBytes)
	case s.Kind() == SecretEd25519 && len(value) != ed25519.PrivateKeySize:
		return fmt.Errorf("has %d bytes once decoded; a private key has %d", len(value), ed25519.PrivateKeySize)
	case s.Kind() == SecretEd25519 && !ed25519.NewKeyFromSeed(value[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(value)):
		return errors.New("has a public key that is not that of its private key")
	}
	return nil
}

func (s Secret) bytes() ([]byte, error) {
	encoded, found := strings.CutPrefix(string(s), hmacPrefix)
	if !found {
		encoded, found = strings.CutPrefix(string(s), privatePrefix)
	}
	if !found {
		return nil, fmt.Errorf("must begin with %q or %q", hmacPrefix, privatePrefix)
	}
	value, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("must be standard base64 with padding behind its prefix")
	}
	return value, nil
}

func newSecret(kind SecretKind) Secret {
	seed := make([]byte, newSecretBytes)
	rand.Read(seed)
	if kind == SecretEd25519 {
		return Secret(privatePrefix + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed)))
	}
	return Secret(hmacPrefix + base64.StdEncoding.EncodeToString(seed))
}

// secretOrNew checks the given secret, or makes one of the kind where none is
// given. The kind "" is that of the secret, or SecretHMAC.
func secretOrNew(given Secret, kind SecretKind) (Secret, error) {
	switch kind {
	case "", SecretHMAC, SecretEd25519:
	default:
		return "", &InvalidSubscriptionError{Field: "SecretKind", Reason: fmt.Sprintf("is %q; must be %q or %q", kind, SecretHMAC, SecretEd25519)}
	}
	if given == "" {
		return newSecret(kind), nil
	}
	if err := given.check(); err != nil {
		return "", &InvalidSubscriptionError{Field: "Secret", Reason: err.Error()}
	}
	if kind != "" && given.Kind() != kind {
		return "", &InvalidSubscriptionError{Field: "SecretKind", Reason: fmt.Sprintf("is %q; the secret is of kind %q", kind, given.Kind())}
	}
	return given, nil
}
