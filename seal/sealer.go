package seal

import "errors"

var (
	// ErrDamaged means that a ciphertext is not what its key once made for that
	// place: it was changed, cut off, or belongs to another row.
	ErrDamaged = errors.New("seal: the ciphertext was changed, or sealed for another place")

	// ErrInvalidKey means that a text is no key, or keys are no keyset. Its text
	// never has a part of a key.
	ErrInvalidKey = errors.New("seal: invalid key")

	// ErrNoKey means that a ciphertext was sealed by a key that is not at hand.
	// While keys are being rotated another process may have it. If the error of a
	// [Sealer] that wraps it has a method KeyID() string, whose result is the hexadecimal
	// form of the bytes with which the ciphertext begins, as that of a [Keyset] does, an
	// engine shows which key is missing.
	ErrNoKey = errors.New("seal: no such key here")
)

// Sealer encrypts with associated data: the AEAD of Tink (tink-go/v2/tink), and
// so a key of a cloud's key management, is one as it is.
//
// Both methods must be safe for concurrent use, keep neither argument nor change
// it, and return a slice that is the caller's. They may take their time and be
// remote: they are called while no database connection is held, for 10 s at the
// most, and what was opened is remembered in memory. A panic is an error of that
// call. Errors go to logs, and so must not show what is sealed. The interface will
// not gain methods: more abilities come as further interfaces, as [Rotating] does.
type Sealer interface {
	// Encrypt seals plaintext. The result is not the same twice.
	Encrypt(plaintext, associatedData []byte) ([]byte, error)

	// Decrypt opens what Encrypt made with the same associatedData, and fails for
	// everything else.
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Rotating is what a [Sealer] of several keys may also be able to tell. Without it re-sealing
// seals everything anew, and a process tries now and then whether it has a key that was missing.
type Rotating interface {
	// HasKey says whether the Sealer opens what the key of an id has sealed; see [ErrNoKey].
	HasKey(id string) bool

	// IsCurrent says whether ciphertext was sealed by the key that seals now. It
	// need not be genuine.
	IsCurrent(ciphertext []byte) bool
}
