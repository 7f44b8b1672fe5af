package subscription

import (
	"errors"
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	redacted = "[redacted]"

	maxTextSecret = 1024
)

// The kinds of signing secrets.
const (
	// SecretHMAC is shared with the receiver: what every library of Standard Webhooks
	// verifies. It is the default.
	SecretHMAC = signing.HMAC

	// SecretEd25519 is a key pair: the receiver knows the public key only, and can
	// verify but not sign. Few receivers can; the dialect must be able to.
	SecretEd25519 = signing.Ed25519
)

// SecretKind says how a secret signs.
type SecretKind = signing.Kind

// Secret is what requests to a subscription are signed with. dialect.ReadSecret makes one of
// what a receiver has already; which of these will do is said by the subscription's dialect.
type Secret = signing.Secret

// checkSecret says why requests of a dialect cannot be signed with a secret, without showing it.
func (c Config) checkSecret(dialect string, secret Secret) error {
	revealed := secret.Reveal()
	switch {
	case revealed == redacted:
		return fmt.Errorf("is %q, which is shown in place of one", redacted)
	case len(revealed) > maxTextSecret:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(revealed), maxTextSecret)
	}
	if err := text.Check(revealed, maxTextSecret); err != nil {
		return err
	}
	err := c.CheckSecret(dialect, secret)
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), signing.ErrInvalidSecret.Error()+": "))
}

// checkStandardSecret is the default of Config.CheckSecret.
func checkStandardSecret(_ string, secret Secret) error {
	if !secret.IsText() {
		return nil
	}
	_, err := signing.ParseSecret(secret.Reveal())
	return err
}

// secretOrNew checks the given secret for a dialect, or makes one of the kind where none is
// given. The kind "" is that of the secret, or SecretHMAC.
func (c Config) secretOrNew(dialect string, given Secret, kind SecretKind) (Secret, error) {
	switch kind {
	case "", SecretHMAC, SecretEd25519:
	default:
		return Secret{}, &InvalidError{
			Field: "SecretKind", Reason: fmt.Sprintf("is %s; must be %q or %q", text.Quote(string(kind)), SecretHMAC, SecretEd25519),
		}
	}
	field, secret := "Secret", given
	if given.IsZero() {
		field, secret = "SecretKind", signing.Random(kind)
	} else if read, err := signing.ReadSecret(given.Reveal()); err == nil { // it is stored as its text
		secret = read
	}
	if err := c.checkSecret(dialect, secret); err != nil {
		return Secret{}, &InvalidError{Field: field, Reason: err.Error()}
	}
	if kind != "" && secret.Kind() != kind {
		return Secret{}, &InvalidError{
			Field: "SecretKind", Reason: fmt.Sprintf("is %q; the secret is of kind %q", kind, secret.Kind()),
		}
	}
	return secret, nil
}
