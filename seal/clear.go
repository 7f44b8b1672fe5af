package seal

import "bytes"

// Clear is the choice to store secrets in clear: whoever can read the database, a
// backup or a replica can sign in your name. It is for development and tests, and
// for databases that are sealed as a whole. What was sealed before it does not
// open. What is stored in clear is still read when a keyset takes its place, and
// Subscriptions.Reseal seals it then. A Sealer s is this one if s == Clear().
func Clear() Sealer { return inClear{} }

type inClear struct{}

// Encrypt returns a copy of plaintext.
func (inClear) Encrypt(plaintext, _ []byte) ([]byte, error) { return bytes.Clone(plaintext), nil }

// Decrypt returns a copy of what Encrypt returned.
func (inClear) Decrypt(ciphertext, _ []byte) ([]byte, error) { return bytes.Clone(ciphertext), nil }
