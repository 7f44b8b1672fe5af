package dialect

import (
	"crypto"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// BodyHMACConfig describes a [BodyHMAC].
type BodyHMACConfig struct {
	// Hash is that of the HMAC, whose package must be linked. Default: crypto.SHA256.
	Hash crypto.Hash

	// Header has the signature. Required.
	Header string

	// IDHeader has the sender's id of an event, for receivers ([Identifier]). It is not
	// signed. Default: none, and each request is an event of its own.
	IDHeader string

	// Prefix stands before the hex, such as "sha256=". Default: none.
	Prefix string
}

// BodyHMAC returns the signer and verifier of a format that signs the body alone, in one
// header: Prefix and the lower-case hex of an HMAC, whose key is the text of the newest
// shared secret as the receiver was given it (Reveal of a [Secret]; of a "whsec_..." all of
// it). It is an [Identifier] and a [SecretChecker] too: it takes any text, and no Ed25519 key.
//
// There is room for one signature, so secrets cannot overlap on the wire: while one
// is being rotated, the receiver accepts both. There is no time in it, and no id:
// whoever has seen a request can send it again.
//
// Sign fails with [ErrNoSecret] without a shared secret. Verify passes with any of
// the secrets, in constant time; the hex may be in upper case. Anything but Prefix and hex
// of the right length is [ErrMalformed]. Both fail when cfg has no Header, or a Hash that is
// not linked.
func BodyHMAC(cfg *BodyHMACConfig) SignerVerifier {
	if cfg == nil {
		return bodyHMAC{}
	}
	return bodyHMAC(*cfg)
}

type bodyHMAC BodyHMACConfig

var (
	_ Identifier    = bodyHMAC{}
	_ SecretChecker = bodyHMAC{}
)

// Sign implements [Signer].
func (b bodyHMAC) Sign(in SignInput) (http.Header, error) {
	hash, err := b.hash()
	if err != nil {
		return nil, err
	}
	secrets, err := sharedSecrets(in.Secrets)
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	h.Set(b.Header, b.Prefix+hex.EncodeToString(textMAC(hash, secrets[0], in.Body)))
	return h, nil
}

// Verify implements [Verifier].
func (b bodyHMAC) Verify(h http.Header, body []byte, secrets []Secret, _ time.Time) error {
	hash, err := b.hash()
	if err != nil {
		return fmt.Errorf("dialect: verify: %w", err)
	}
	value, err := oneHeader(h, b.Header)
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(value, b.Prefix)
	got, err := hex.DecodeString(text)
	if !ok || err != nil || len(got) != hash.Size() {
		return fmt.Errorf("%w: %s is not %q and %d hexadecimal digits", ErrMalformed, b.Header, b.Prefix, 2*hash.Size())
	}
	matches := false
	for _, secret := range secrets {
		// Anyone can sign with an empty key.
		if !secret.IsZero() && hmac.Equal(textMAC(hash, secret, body), got) {
			matches = true
		}
	}
	if !matches {
		return ErrBadSignature
	}
	return nil
}

func (b bodyHMAC) hash() (crypto.Hash, error) {
	hash := b.Hash
	if hash == 0 {
		hash = crypto.SHA256
	}
	if b.Header == "" {
		return 0, errors.New("BodyHMACConfig.Header is empty")
	}
	if !hash.Available() {
		return 0, fmt.Errorf("BodyHMACConfig.Hash: %s is not linked", hash)
	}
	return hash, nil
}

// DeliveryID implements [Identifier]: it is the value of IDHeader, which is not signed.
func (b bodyHMAC) DeliveryID(h http.Header, _ []byte) string {
	if b.IDHeader == "" {
		return ""
	}
	return firstHeader(h, b.IDHeader)
}

// CheckSecret implements [SecretChecker]: any text, and no Ed25519 key.
func (bodyHMAC) CheckSecret(secret Secret) error { return checkText(secret) }

// sharedSecrets are those that an HMAC can be made with, newest first. There is at
// least one.
func sharedSecrets(secrets []Secret) ([]Secret, error) {
	var shared []Secret
	for _, secret := range secrets {
		if secret.IsZero() {
			return nil, ErrNoSecret
		}
		if secret.PublicKey().IsZero() {
			shared = append(shared, secret)
		}
	}
	if len(shared) == 0 && len(secrets) > 0 {
		return nil, fmt.Errorf("%w: an Ed25519 key makes no HMAC", ErrNoSecret)
	}
	if len(shared) == 0 {
		return nil, ErrNoSecret
	}
	return shared, nil
}

// textMAC is an HMAC over the parts, by the text that the receiver has.
func textMAC(hash crypto.Hash, secret Secret, parts ...[]byte) []byte {
	mac := hmac.New(hash.New, []byte(secret.Reveal()))
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}
