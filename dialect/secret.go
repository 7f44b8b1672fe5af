package dialect

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Sizes of the key of a shared secret, in bytes (Standard Webhooks 1.0.0).
const (
	MinSecretBytes = 24
	MaxSecretBytes = 64
)

var errSpaceAround = fmt.Errorf("%w: white space or a line end is around it; trim what was read from a file", ErrInvalidSecret)

const (
	privatePrefix = "whsk_"
	secretPrefix  = "whsec_"
	redacted      = "[redacted]"
)

// ErrInvalidSecret is what ParseSecret, NewSecret, NewTextSecret,
// NewEd25519Secret and ParsePublicKey fail with. Its text never has a part of the secret.
var ErrInvalidSecret = errors.New("dialect: invalid secret")

// Secret is a signing secret of a subscription, in the form of Standard Webhooks:
// "whsec_" and base64 of 24 to 64 bytes that sender and receiver share, or "whsk_"
// and base64 of an Ed25519 private key, 64 bytes of which the last 32 are the
// public key. Receivers of other senders also have a plain text: [NewTextSecret].
// However it is printed, logged or encoded, it shows "[redacted]"; Reveal and Key
// give it away. The zero value is no secret, and signers refuse it.
//
// Dialects differ in what they key an HMAC with: Standard Webhooks with the bytes
// behind "whsec_", which are [Secret.Key]; GitHub, Stripe and the like with the
// whole text as the receiver was given it, which is [Secret.Reveal].
type Secret struct {
	// fmt prints the unexported fields of a struct that holds a Secret without
	// asking its methods, and follows pointers to structs and slices. Of a
	// pointer to a string it prints the address.
	key  *string
	kind secretKind
}

type secretKind int

const (
	sharedSecret  secretKind = iota
	privateSecret            // an Ed25519 private key
	textSecret               // shared, without a form
)

// ParseSecret parses the forms "whsec_..." and "whsk_...": standard base64 with
// padding. It is strict: no white space, no other alphabet, and the public half of
// a private key must be its own.
func ParseSecret(s string) (Secret, error) {
	if enc, ok := strings.CutPrefix(s, secretPrefix); ok {
		raw, err := decodeKey(enc)
		if err != nil {
			return Secret{}, err
		}
		return NewSecret(raw)
	}
	if enc, ok := strings.CutPrefix(s, privatePrefix); ok {
		raw, err := decodeKey(enc)
		if err != nil {
			return Secret{}, err
		}
		return NewEd25519Secret(raw)
	}
	if strings.TrimSpace(s) != s {
		return Secret{}, errSpaceAround
	}
	return Secret{}, fmt.Errorf("%w: it must start with %q or %q", ErrInvalidSecret, secretPrefix, privatePrefix)
}

func decodeKey(enc string) ([]byte, error) {
	if strings.TrimSpace(enc) != enc {
		return nil, errSpaceAround
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(enc)
	if err != nil || strings.ContainsAny(enc, "\r\n") { // the decoder skips line ends
		return nil, fmt.Errorf("%w: not base64", ErrInvalidSecret)
	}
	return raw, nil
}

// NewEd25519Secret returns the secret that signs with an Ed25519 private key of 64
// bytes, as ed25519.GenerateKey makes it. It copies private.
func NewEd25519Secret(private ed25519.PrivateKey) (Secret, error) {
	if n := len(private); n != ed25519.PrivateKeySize {
		return Secret{}, fmt.Errorf("%w: %d bytes, a private key has %d", ErrInvalidSecret, n, ed25519.PrivateKeySize)
	}
	if !ed25519.NewKeyFromSeed(private.Seed()).Equal(private) {
		return Secret{}, fmt.Errorf("%w: the public key is not that of the private key", ErrInvalidSecret)
	}
	key := string(private)
	return Secret{key: &key, kind: privateSecret}, nil
}

// NewTextSecret returns the shared secret whose key is the bytes of text itself,
// whatever it looks like, for receivers of senders that agree on a plain text:
// GitHub, Stripe and what is modelled on them. "" is [ErrInvalidSecret], and so is a text
// that begins or ends with a line end, as one that was read from a file may: no signature
// would be right. A secret
// that Riverhook showed as "whsec_..." is better read by ParseSecret, which serves
// every dialect.
func NewTextSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, fmt.Errorf("%w: it is empty", ErrInvalidSecret)
	}
	if strings.Trim(text, "\r\n") != text {
		return Secret{}, fmt.Errorf("%w: it begins or ends with a line end; trim what was read from a file", ErrInvalidSecret)
	}
	return Secret{key: &text, kind: textSecret}, nil
}

// NewSecret returns the shared secret whose key is raw, of 24 to 64 bytes. It
// copies raw.
func NewSecret(raw []byte) (Secret, error) {
	if n := len(raw); n < MinSecretBytes || n > MaxSecretBytes {
		return Secret{}, fmt.Errorf("%w: %d bytes, must be %d to %d",
			ErrInvalidSecret, n, MinSecretBytes, MaxSecretBytes)
	}
	key := string(raw)
	return Secret{key: &key}, nil
}

// Key returns a copy of the bytes of the key, for signers; nil for no secret. Of an
// Ed25519 secret it is the private key, so that a signer that takes it for a shared
// one makes signatures that nobody can verify, rather than ones that anybody can
// make; see [Secret.PublicKey].
func (s Secret) Key() []byte {
	if s.key == nil {
		return nil
	}
	return []byte(*s.key)
}

// PublicKey returns what a receiver verifies the signatures of an Ed25519 secret
// with. It is the zero value for a shared secret and for none.
func (s Secret) PublicKey() PublicKey {
	if s.kind != privateSecret {
		return PublicKey{}
	}
	return PublicKey{key: (*s.key)[ed25519.SeedSize:]}
}

// Reveal returns the form that ParseSecret reads, or the text of NewTextSecret: what
// the receiver was given. It is "" for no secret.
func (s Secret) Reveal() string {
	switch {
	case s.key == nil:
		return ""
	case s.kind == textSecret:
		return *s.key
	case s.kind == privateSecret:
		return privatePrefix + base64.StdEncoding.EncodeToString([]byte(*s.key))
	default:
		return secretPrefix + base64.StdEncoding.EncodeToString([]byte(*s.key))
	}
}

// IsZero says whether s is no secret.
func (s Secret) IsZero() bool { return s.key == nil }

// Equal says whether s and other are of one kind and have the same key, in
// constant time.
func (s Secret) Equal(other Secret) bool {
	return s.kind == other.kind && subtle.ConstantTimeCompare(s.Key(), other.Key()) == 1
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
