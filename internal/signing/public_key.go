package signing

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

const publicPrefix = "whpk_"

// PublicKey is the receiver's half of an Ed25519 [Secret]: it verifies signatures
// and cannot make any. It is no secret. The zero value is no key, and verifies
// nothing. Keys can be compared with ==.
type PublicKey struct {
	key string
}

// ParsePublicKey parses the form of Standard Webhooks: "whpk_" and the standard
// base64, with padding, of 32 bytes.
func ParsePublicKey(s string) (PublicKey, error) {
	enc, ok := strings.CutPrefix(s, publicPrefix)
	if !ok {
		return PublicKey{}, fmt.Errorf("%w: must begin with %q", ErrInvalidSecret, publicPrefix)
	}
	raw, err := decodeKey(enc)
	if err != nil {
		return PublicKey{}, err
	}
	if len(raw) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: has %d bytes once decoded; a public key has %d", ErrInvalidSecret, len(raw), ed25519.PublicKeySize)
	}
	return PublicKey{key: string(raw)}, nil
}

// IsZero says whether k is no key.
func (k PublicKey) IsZero() bool { return k.key == "" }

// Key returns a copy of the 32 bytes of the key; nil for no key.
func (k PublicKey) Key() ed25519.PublicKey {
	if k.IsZero() {
		return nil
	}
	return ed25519.PublicKey(k.key)
}

// String returns the form that ParsePublicKey reads; "" for no key.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString([]byte(k.key))
}

// MarshalText implements [encoding.TextMarshaler]: the same as String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
