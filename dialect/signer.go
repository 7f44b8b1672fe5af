package dialect

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// SignInput is what a [Signer] may sign. More fields may come.
type SignInput struct {
	// ID is the wire id of the event, Type its type.
	ID, Type string
	// At is the time of the attempt.
	At time.Time
	// Body is what is sent, byte for byte.
	Body []byte
	// Secrets are those in force, newest first.
	Secrets []Secret
}

// Signer makes the headers that authenticate a request. It is pure and safe for
// concurrent use like a [Dialect], and must not modify its input. It will not
// gain methods.
type Signer interface {
	Sign(in SignInput) (http.Header, error)
}

// SignerFunc makes a [Signer] of a function.
func SignerFunc(sign func(in SignInput) (http.Header, error)) Signer { return signerFunc(sign) }

type signerFunc func(in SignInput) (http.Header, error)

// Sign implements [Signer].
func (f signerFunc) Sign(in SignInput) (http.Header, error) { return f(in) }

// SignerVerifier is both halves of a signature.
type SignerVerifier interface {
	Signer
	Verifier
}

// Signers signs a request by each of several, so that a dialect can have, say, the headers of
// Standard Webhooks beside its own. A header that two of them set is an error, and so are no
// signers at all. As a [SecretChecker] it takes the secrets that each of them takes.
func Signers(several ...Signer) Signer { return signers(slices.Clone(several)) }

type signers []Signer

var _ SecretChecker = signers{}

// Sign implements [Signer].
func (ss signers) Sign(in SignInput) (http.Header, error) {
	if len(ss) == 0 {
		return nil, errors.New("Signers is empty")
	}
	all := http.Header{}
	for _, s := range ss {
		h, err := s.Sign(in)
		if err != nil {
			return nil, err
		}
		for name, values := range h {
			key := http.CanonicalHeaderKey(name)
			if _, taken := all[key]; taken {
				return nil, fmt.Errorf("two of Signers set the header %s", key)
			}
			all[key] = values
		}
	}
	return all, nil
}

// CheckSecret implements [SecretChecker]: each of them must be able to sign with it.
func (ss signers) CheckSecret(secret Secret) error {
	for _, s := range ss {
		if err := checkSecret(s, secret); err != nil {
			return err
		}
	}
	return nil
}

// Unsigned returns a signer that adds nothing, which is a [SecretChecker] that takes any
// secret, and the verifier that accepts everything: receivers cannot know who sent a request.
func Unsigned() SignerVerifier { return unsigned{} }

type unsigned struct{}

var _ SecretChecker = unsigned{}

// Sign implements [Signer].
func (unsigned) Sign(SignInput) (http.Header, error) { return nil, nil }

// Verify implements [Verifier]: it returns nil.
func (unsigned) Verify(http.Header, []byte, []Secret, time.Time) error { return nil }

// CheckSecret implements [SecretChecker]: everything will do.
func (unsigned) CheckSecret(Secret) error { return nil }
