package dialect

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/signing"
)

// Sizes of the key of a shared secret, in bytes (Standard Webhooks 1.0.0).
const (
	MinSecretBytes = signing.MinSecretBytes
	MaxSecretBytes = signing.MaxSecretBytes
)

// ErrInvalidSecret is [signing.ErrInvalidSecret], and what a dialect answers that cannot sign
// with a secret.
var ErrInvalidSecret = signing.ErrInvalidSecret

// Secret is what requests are signed with, and verified.
type Secret = signing.Secret

// PublicKey is the receiver's half of an Ed25519 [Secret].
type PublicKey = signing.PublicKey

// ReadSecret is [signing.ReadSecret]: it reads a secret as a receiver was given it, for
// every dialect.
func ReadSecret(text string) (Secret, error) { return signing.ReadSecret(text) }

// ParseSecret is [signing.ParseSecret]: "whsec_..." and "whsk_..." alone.
func ParseSecret(s string) (Secret, error) { return signing.ParseSecret(s) }

// NewSecret is [signing.NewSecret], of 24 to 64 bytes.
func NewSecret(raw []byte) (Secret, error) { return signing.NewSecret(raw) }

// NewTextSecret is [signing.NewTextSecret]: a text that is the key as it stands.
func NewTextSecret(text string) (Secret, error) { return signing.NewTextSecret(text) }

// NewEd25519Secret is [signing.NewEd25519Secret].
func NewEd25519Secret(private ed25519.PrivateKey) (Secret, error) {
	return signing.NewEd25519Secret(private)
}

// ParsePublicKey is [signing.ParsePublicKey]: "whpk_...".
func ParsePublicKey(s string) (PublicKey, error) { return signing.ParsePublicKey(s) }

// SecretChecker is a further ability of a [Dialect] and of a [Signer]: it says why it cannot
// sign with a secret, without showing any of it. What is refused is not given to a
// subscription of that dialect. It is pure and safe for concurrent use. Dialects and
// signers without it are given the forms of Standard Webhooks. The interface will not gain
// methods.
type SecretChecker interface {
	CheckSecret(secret Secret) error
}

var (
	_ SecretChecker = BodyHMAC{}
	_ SecretChecker = (*Custom)(nil)
	_ SecretChecker = HubSigner{}
	_ SecretChecker = PyWebhooksSigner{}
	_ SecretChecker = ServoSigner{}
	_ SecretChecker = Signers{}
	_ SecretChecker = StandardSigner{}
	_ SecretChecker = StripeSigner{}
	_ SecretChecker = Unsigned{}
)

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
	return StandardSigner{}.CheckSecret(secret)
}

// CheckSecret implements [SecretChecker]: as its signer does.
func (c *Custom) CheckSecret(secret Secret) error { return checkSecret(c.cfg.Signer, secret) }

// CheckSecret implements [SecretChecker]: each of them must be able to sign with it.
func (ss Signers) CheckSecret(secret Secret) error {
	for _, s := range ss {
		if err := checkSecret(s, secret); err != nil {
			return err
		}
	}
	return nil
}

// CheckSecret implements [SecretChecker]: a text is refused, for the receiver's library
// would not take it.
func (StandardSigner) CheckSecret(secret Secret) error {
	switch {
	case secret.IsZero():
		return ErrNoSecret
	case !secret.IsText():
		return nil
	}
	text := secret.Reveal()
	switch _, err := ParseSecret(text); {
	case err == nil: // it was made of a text that has the form
		return nil
	case strings.HasPrefix(text, "whsec_"), strings.HasPrefix(text, "whsk_"), strings.TrimSpace(text) != text:
		return err
	default:
		return fmt.Errorf("%w, or be base64 of 24 to 64 bytes; dialects such as \"hub\" and \"stripe\" take any text", err)
	}
}

// CheckSecret implements [SecretChecker]: everything will do.
func (Unsigned) CheckSecret(Secret) error { return nil }

// CheckSecret implements [SecretChecker]: any text, and no Ed25519 key.
func (BodyHMAC) CheckSecret(secret Secret) error { return checkText(secret) }

// CheckSecret implements [SecretChecker], as [BodyHMAC] does.
func (HubSigner) CheckSecret(secret Secret) error { return checkText(secret) }

// CheckSecret implements [SecretChecker], as [BodyHMAC] does.
func (PyWebhooksSigner) CheckSecret(secret Secret) error { return checkText(secret) }

// CheckSecret implements [SecretChecker], as [BodyHMAC] does.
func (ServoSigner) CheckSecret(secret Secret) error { return checkText(secret) }

// CheckSecret implements [SecretChecker], as [BodyHMAC] does.
func (StripeSigner) CheckSecret(secret Secret) error { return checkText(secret) }

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
