package dialect

import (
	"crypto/ed25519"
	"fmt"

	"github.com/riverhook/riverhook/internal/signing"
)

// ErrInvalidSecret is what the functions fail with that make a [Secret] or a [PublicKey], and
// what a dialect answers that cannot sign with a secret. Its text never has a part of the
// secret.
var ErrInvalidSecret = signing.ErrInvalidSecret

// Secret is what requests are signed with, and verified. It is one of these:
//
//   - a shared secret in the form of Standard Webhooks, "whsec_" and the base64 of 24 to
//     64 bytes;
//   - an Ed25519 private key, "whsk_" and the base64 of 64 bytes, of which the last 32 are
//     the public key;
//   - a text that sender and receiver agree on, as those of GitHub and Stripe do.
//
// [ReadSecret] reads each of them. However a Secret is printed, logged or encoded, it shows
// "[redacted]"; its methods Reveal, the text, and Key, the bytes, give it away. PublicKey is
// the receiver's half of an Ed25519 key. Equal compares two in constant time. The zero value
// is no secret, which IsZero says, and signers refuse it. A Secret does not change, and is
// safe for concurrent use.
//
// Formats differ in what they key an HMAC with: Standard Webhooks with the bytes behind
// "whsec_", which are Key; GitHub, Stripe and the like with the whole text as the receiver
// was given it, which is Reveal.
type Secret = signing.Secret

// PublicKey is the receiver's half of an Ed25519 [Secret]: it verifies signatures and cannot
// make any. It is no secret: its method String is the form that [ParsePublicKey] reads, and
// Key its 32 bytes. The zero value is no key, which IsZero says, and verifies nothing. Keys
// can be compared with ==.
type PublicKey = signing.PublicKey

// ReadSecret reads a secret as a receiver was given it, of whatever sender: in a form of
// [ParseSecret]; as base64 alone of 24 to 64 bytes, which the libraries of Standard Webhooks
// take as well; and any other as the text that it is, by [NewTextSecret]. What a text is to
// one format, the bytes that it stands for are to another, so that all signers and verifiers
// can be given what it returns.
func ReadSecret(text string) (Secret, error) { return signing.ReadSecret(text) }

// ParseSecret parses the forms "whsec_..." and "whsk_...": standard base64 with padding. It is
// strict: no white space, no other alphabet, and the public half of a private key must be its
// own.
func ParseSecret(s string) (Secret, error) { return signing.ParseSecret(s) }

// NewSecret returns the shared secret whose key is raw, of 24 to 64 bytes. It copies raw.
func NewSecret(raw []byte) (Secret, error) { return signing.NewSecret(raw) }

// NewTextSecret returns the shared secret whose key is the bytes of text itself, whatever it
// looks like, for receivers of senders that agree on a plain text. "" is [ErrInvalidSecret],
// and so is a text that begins or ends with a line end, as one that was read from a file may:
// no signature would be right. [ReadSecret] serves more formats.
func NewTextSecret(text string) (Secret, error) { return signing.NewTextSecret(text) }

// NewEd25519Secret returns the secret that signs with an Ed25519 private key of 64 bytes, as
// ed25519.GenerateKey makes it. It copies private.
func NewEd25519Secret(private ed25519.PrivateKey) (Secret, error) {
	return signing.NewEd25519Secret(private)
}

// ParsePublicKey parses the form of Standard Webhooks: "whpk_" and the standard base64, with
// padding, of 32 bytes.
func ParsePublicKey(s string) (PublicKey, error) { return signing.ParsePublicKey(s) }

// SecretChecker is a further ability of a [Dialect] and of a [Signer]: it says why it cannot
// sign with a secret, without showing any of it. What is refused is not given to a
// subscription of that dialect. It is pure and safe for concurrent use. Dialects and
// signers without it are given the forms of Standard Webhooks. The interface will not gain
// methods.
type SecretChecker interface {
	CheckSecret(secret Secret) error
}

// CheckSecret says why a dialect of the registry cannot sign with a secret; one that is not
// registered is an error.
func (r *Registry) CheckSecret(name string, secret Secret) error {
	d, ok := r.Get(name)
	if !ok {
		return fmt.Errorf("the dialect %q is not known", name)
	}
	return checkSecret(d, secret)
}

// checkSecret asks a dialect or a signer.
func checkSecret(of any, secret Secret) error {
	if c, ok := of.(SecretChecker); ok {
		return c.CheckSecret(secret)
	}
	return standardSigner{}.CheckSecret(secret)
}

// checkText is for those who sign with the text of a secret: any text, and no Ed25519 key.
func checkText(secret Secret) error {
	switch {
	case secret.IsZero():
		return ErrNoSecret
	case !secret.PublicKey().IsZero():
		return fmt.Errorf("%w: an Ed25519 key makes no HMAC", ErrInvalidSecret)
	default:
		return nil
	}
}
