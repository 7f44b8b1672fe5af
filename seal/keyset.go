package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Keyset is a [Sealer] from keys in memory: AES-256-GCM of the standard library.
// The first key seals, all of them open. A ciphertext is
//
//	id of the key (8 bytes) | nonce (12 random bytes) | encrypted text | tag (16 bytes)
//
// so it is 36 bytes longer than what it seals. With random nonces a key is good
// for 2^32 values (NIST SP 800-38D, section 8.3).
//
// However a Keyset is printed, logged or encoded it shows no key. It is safe for
// concurrent use.
type Keyset struct {
	first [idBytes]byte
	aeads map[[idBytes]byte]cipher.AEAD
}

// NewKeyset makes a keyset of one or more keys; the first seals. The zero Key and
// the same key twice are refused with [ErrInvalidKey].
func NewKeyset(keys ...Key) (*Keyset, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is none; NewKey makes one", ErrInvalidKey)
	}
	set := &Keyset{aeads: make(map[[idBytes]byte]cipher.AEAD, len(keys))}
	for i, key := range keys {
		if key.isZero() {
			return nil, fmt.Errorf("%w: key %d is the zero value", ErrInvalidKey, i+1)
		}
		id := key.id()
		if _, taken := set.aeads[id]; taken {
			return nil, fmt.Errorf("%w: key %d is there twice", ErrInvalidKey, i+1)
		}
		block, err := aes.NewCipher([]byte(*key.value))
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrInvalidKey, i+1, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrInvalidKey, i+1, err)
		}
		if i == 0 {
			set.first = id
		}
		set.aeads[id] = aead
	}
	return set, nil
}

// ParseKeyset makes a keyset of a text: keys in the form that [ParseKey] reads,
// separated by commas or white space. The first seals.
func ParseKeyset(text string) (*Keyset, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	keys := make([]Key, len(words))
	for i, word := range words {
		var err error
		if keys[i], err = ParseKey(word); err != nil {
			reason := strings.TrimPrefix(err.Error(), ErrInvalidKey.Error()+": ")
			return nil, fmt.Errorf("%w: key %d: %s", ErrInvalidKey, i+1, reason)
		}
	}
	return NewKeyset(keys...)
}

// Encrypt implements [Sealer].
func (s *Keyset) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	aead := s.aeads[s.first]
	out := make([]byte, 0, idBytes+len(plaintext)+aead.Overhead())
	//nolint:gosec // there is no nonce to give: this AEAD makes a random one each time
	return aead.Seal(append(out, s.first[:]...), nil, plaintext, associatedData), nil
}

// Decrypt implements [Sealer]. Its errors are [ErrNoKey], with the id of the key, and
// [ErrDamaged].
func (s *Keyset) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	id, rest, ok := cutID(ciphertext)
	if !ok {
		return nil, ErrDamaged
	}
	aead, ok := s.aeads[id]
	if !ok {
		return nil, noKeyError(hex.EncodeToString(id[:]))
	}
	plaintext, err := aead.Open(nil, nil, rest, associatedData)
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}

// IsCurrent implements [Rotating]: the first key has sealed ciphertext.
func (s *Keyset) IsCurrent(ciphertext []byte) bool {
	id, _, ok := cutID(ciphertext)
	return ok && id == s.first
}

// HasKey implements [Rotating].
func (s *Keyset) HasKey(id string) bool {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != idBytes {
		return false
	}
	_, ok := s.aeads[[idBytes]byte(raw)]
	return ok
}

// Format implements [fmt.Formatter]: "[redacted]" for each verb and flag.
func (*Keyset) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func cutID(ciphertext []byte) (id [idBytes]byte, rest []byte, ok bool) {
	if len(ciphertext) < idBytes {
		return id, nil, false
	}
	return [idBytes]byte(ciphertext[:idBytes]), ciphertext[idBytes:], true
}

// noKeyError is ErrNoKey with the id of the key.
type noKeyError string

func (e noKeyError) Error() string { return ErrNoKey.Error() + ": " + e.KeyID() }
func (e noKeyError) KeyID() string { return string(e) }
func (noKeyError) Unwrap() error   { return ErrNoKey }
