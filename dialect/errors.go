package dialect

import "errors"

// Errors of a [Verifier] and of [VerifyRequest], to be recognised with errors.Is.
// A receiver answers each of them with a 4xx status, and does not tell the sender
// which of a Verifier's it was.
var (
	// ErrBadSignature says that no signature matches the body with any of the secrets.
	ErrBadSignature = errors.New("dialect: bad signature")
	// ErrBodyTooLarge says that the body has more bytes than the receiver reads.
	// Only VerifyRequest returns it.
	ErrBodyTooLarge = errors.New("dialect: body too large")
	// ErrMalformed says that a header that is needed cannot be read.
	ErrMalformed = errors.New("dialect: malformed header")
	// ErrMissingHeader says that a header that is needed is absent or empty.
	ErrMissingHeader = errors.New("dialect: missing header")
	// ErrTooNew says that the timestamp is further in the future than the tolerance.
	ErrTooNew = errors.New("dialect: timestamp too new")
	// ErrTooOld says that the timestamp is further in the past than the tolerance.
	ErrTooOld = errors.New("dialect: timestamp too old")
)

// ErrNoSecret says that there is no secret to sign with.
var ErrNoSecret = errors.New("dialect: no secret to sign with")
