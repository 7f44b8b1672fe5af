package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

const (
	keyBytes  = 32 // AES-256
	keyPrefix = "rhseal_"
	redacted  = "[redacted]"
	idBytes   = 8
	idContext = "riverhook seal key 1\x00"
)

// Key is a key for a [Keyset]: 32 random bytes. Its text is "rhseal_" and their
// base64, for the operator's secret manager. However it is printed, logged or
// encoded it shows "[redacted]"; [Key.Reveal] alone gives it away. Key{} is no key.
type Key struct {
	// fmt prints the unexported fields of a struct that holds a Key without asking
	// its methods. Of a pointer to a string it prints the address.
	value *string
}

// NewKey makes a key from the system's random source.
func NewKey() Key {
	raw := make([]byte, keyBytes)
	rand.Read(raw)
	value := string(raw)
	return Key{value: &value}
}

// ParseKey parses "rhseal_" and the standard base64, with padding, of 32 bytes.
func ParseKey(text string) (Key, error) {
	encoded, found := strings.CutPrefix(text, keyPrefix)
	if !found {
		return Key{}, fmt.Errorf("%w: must begin with %q", ErrInvalidKey, keyPrefix)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, fmt.Errorf("%w: must be standard base64 with padding behind its prefix", ErrInvalidKey)
	}
	if len(raw) != keyBytes {
		return Key{}, fmt.Errorf("%w: has %d bytes once decoded, must be %d", ErrInvalidKey, len(raw), keyBytes)
	}
	value := string(raw)
	return Key{value: &value}, nil
}

// ID names the key without giving it away: 16 hexadecimal digits, of its SHA-256.
// What the key has sealed begins with these 8 bytes. It is "" for no key.
func (k Key) ID() string {
	if k.isZero() {
		return ""
	}
	id := k.id()
	return hex.EncodeToString(id[:])
}

// isZero says whether k is no key.
func (k Key) isZero() bool { return k.value == nil }

// Reveal returns the text of the key, which [ParseKey] reads; "" for no key.
func (k Key) Reveal() string {
	if k.isZero() {
		return ""
	}
	return keyPrefix + base64.StdEncoding.EncodeToString([]byte(*k.value))
}

// Format implements [fmt.Formatter]: "[redacted]" for each verb and flag.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler]: "[redacted]".
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// id depends on nothing but the key: two processes cannot give one id to
// different keys by mistake.
func (k Key) id() (id [idBytes]byte) {
	sum := sha256.Sum256([]byte(idContext + *k.value))
	copy(id[:], sum[:])
	return id
}
