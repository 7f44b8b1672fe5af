package signing

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Sizes of the key of a shared secret, in bytes (Standard Webhooks 1.0.0).
const (
	minSecretBytes = 24
	maxSecretBytes = 64

	newSecretBytes = 32
)

const (
	privatePrefix = "whsk_"
	secretPrefix  = "whsec_"
	redacted      = "[redacted]"
)

// The kinds of secrets, by the version of their signatures in Standard Webhooks 1.0.0.
const (
	// HMAC is shared with the receiver, by whatever text.
	HMAC Kind = "v1"

	// Ed25519 is a key pair: the receiver knows the public key only, and can verify but
	// not sign.
	Ed25519 Kind = "v1a"
)

// Kind says how a secret signs.
type Kind string

// ErrInvalidSecret is what the functions of this package fail with that make a secret or
// a key. Its text never has a part of the secret.
var ErrInvalidSecret = errors.New("invalid secret")

var errSpaceAround = fmt.Errorf("%w: white space or a line end is around it; trim what was read from a file", ErrInvalidSecret)

// Secret is what requests are signed with. It is one of these:
//
//   - a shared secret in the form of Standard Webhooks, "whsec_" and the base64 of 24 to
//     64 bytes;
//   - an Ed25519 private key, "whsk_" and the base64 of 64 bytes, of which the last 32 are
//     the public key;
//   - a text that sender and receiver agree on, as those of GitHub and Stripe do.
//
// [ReadSecret] reads each of them. However a Secret is printed, logged or encoded, it shows
// "[redacted]"; Reveal and Key give it away. The zero value is no secret, and signers refuse
// it. A Secret does not change, and is safe for concurrent use.
//
// Formats differ in what they key an HMAC with: Standard Webhooks with the bytes behind
// "whsec_", which are [Secret.Key]; GitHub, Stripe and the like with the whole text as the
// receiver was given it, which is [Secret.Reveal].
type Secret struct {
	// fmt prints the unexported fields of a struct that holds a Secret without
	// asking its methods, and follows pointers to structs and slices. Of a
	// pointer to a string it prints the address.
	text, key *string
	form      form
}

type form int

const (
	sharedForm  form = iota // of Standard Webhooks, with its prefix or without
	privateForm             // an Ed25519 private key
	textForm                // none
)

// ReadSecret reads a secret as a receiver was given it, of whatever sender: in a form of
// [ParseSecret]; as base64 alone of 24 to 64 bytes, which the libraries of Standard Webhooks
// take as well; and any other as the text that it is, by [NewTextSecret]. What a text is to
// one format, the bytes that it stands for are to another, so that all signers and verifiers
// can be given what it returns.
func ReadSecret(text string) (Secret, error) {
	if s, err := ParseSecret(text); err == nil {
		return s, nil
	}
	if raw, err := decodeKey(text); err == nil && checkShared(len(raw)) == nil {
		return newSecret(text, string(raw), sharedForm), nil
	}
	return NewTextSecret(text)
}

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
	return Secret{}, fmt.Errorf("%w: must begin with %q or %q", ErrInvalidSecret, secretPrefix, privatePrefix)
}

func decodeKey(enc string) ([]byte, error) {
	if strings.TrimSpace(enc) != enc {
		return nil, errSpaceAround
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(enc)
	if err != nil || strings.ContainsAny(enc, "\r\n") { // the decoder skips line ends
		return nil, fmt.Errorf("%w: must be standard base64 with padding behind its prefix", ErrInvalidSecret)
	}
	return raw, nil
}

// NewEd25519Secret returns the secret that signs with an Ed25519 private key of 64
// bytes, as ed25519.GenerateKey makes it. It copies private.
func NewEd25519Secret(private ed25519.PrivateKey) (Secret, error) {
	if n := len(private); n != ed25519.PrivateKeySize {
		return Secret{}, fmt.Errorf("%w: has %d bytes once decoded; a private key has %d", ErrInvalidSecret, n, ed25519.PrivateKeySize)
	}
	if !ed25519.NewKeyFromSeed(private.Seed()).Equal(private) {
		return Secret{}, fmt.Errorf("%w: has a public key that is not that of its private key", ErrInvalidSecret)
	}
	return newSecret(privatePrefix+base64.StdEncoding.EncodeToString(private), string(private), privateForm), nil
}

// NewTextSecret returns the shared secret whose key is the bytes of text itself,
// whatever it looks like, for receivers of senders that agree on a plain text. "" is
// [ErrInvalidSecret], and so is a text that begins or ends with a line end, as one that was
// read from a file may: no signature would be right. [ReadSecret] serves more formats.
func NewTextSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, fmt.Errorf("%w: it is empty", ErrInvalidSecret)
	}
	if strings.Trim(text, "\r\n") != text {
		return Secret{}, fmt.Errorf("%w: it begins or ends with a line end; trim what was read from a file", ErrInvalidSecret)
	}
	return newSecret(text, text, textForm), nil
}

// NewSecret returns the shared secret whose key is raw, of 24 to 64 bytes. It
// copies raw.
func NewSecret(raw []byte) (Secret, error) {
	if err := checkShared(len(raw)); err != nil {
		return Secret{}, err
	}
	return newSecret(secretPrefix+base64.StdEncoding.EncodeToString(raw), string(raw), sharedForm), nil
}

// Random returns a new secret of 32 random bytes, or a new key pair. The kind "" is HMAC.
func Random(kind Kind) Secret {
	seed := make([]byte, newSecretBytes)
	_, _ = rand.Read(seed) // never fails
	if kind == Ed25519 {
		private := ed25519.NewKeyFromSeed(seed)
		return newSecret(privatePrefix+base64.StdEncoding.EncodeToString(private), string(private), privateForm)
	}
	return newSecret(secretPrefix+base64.StdEncoding.EncodeToString(seed), string(seed), sharedForm)
}

func newSecret(text, key string, f form) Secret {
	return Secret{
		text: &text,
		key:  &key,
		form: f,
	}
}

func checkShared(n int) error {
	if n < minSecretBytes || n > maxSecretBytes {
		return fmt.Errorf("%w: has %d bytes once decoded; %d to %d are allowed", ErrInvalidSecret, n, minSecretBytes, maxSecretBytes)
	}
	return nil
}

// Key returns a copy of the bytes of the key, for signers; nil for no secret. Of an
// Ed25519 secret it is the private key, so that a signer that takes it for a shared
// one makes signatures that nobody can verify, rather than ones that anybody can
// make; see [Secret.PublicKey].
func (s Secret) Key() []byte {
	if s.IsZero() {
		return nil
	}
	return []byte(*s.key)
}

// Kind is how the secret signs; "" for no secret.
func (s Secret) Kind() Kind {
	switch {
	case s.IsZero():
		return ""
	case s.form == privateForm:
		return Ed25519
	default:
		return HMAC
	}
}

// IsText says whether it is a text alone, and none of the forms that stand for bytes.
func (s Secret) IsText() bool { return s.form == textForm }

// PublicKey returns what a receiver verifies the signatures of an Ed25519 secret
// with. It is the zero value for a shared secret and for none.
func (s Secret) PublicKey() PublicKey {
	if s.form != privateForm {
		return PublicKey{}
	}
	return PublicKey{key: (*s.key)[ed25519.SeedSize:]}
}

// Reveal returns the text of the secret, as the receiver is given it and as ReadSecret
// reads it. It is "" for no secret.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return *s.text
}

// IsZero says whether s is no secret.
func (s Secret) IsZero() bool { return s.key == nil }

// Equal says whether s and other are of one form and have the same key, in
// constant time.
func (s Secret) Equal(other Secret) bool {
	return s.form == other.form && subtle.ConstantTimeCompare(s.Key(), other.Key()) == 1
}

// String returns "[redacted]", or "" for no secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format implements [fmt.Formatter]: as String, for each verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler]: as String, and so covers JSON and log/slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
