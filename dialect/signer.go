package dialect

import (
	"errors"
	"fmt"
	"net/http"
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
type SignerFunc func(in SignInput) (http.Header, error)

// Sign implements [Signer].
func (f SignerFunc) Sign(in SignInput) (http.Header, error) { return f(in) }

// Signers signs a request by each of several, so that a dialect can have, say, the
// headers of Standard Webhooks beside its own. A header that two of them set is an
// error, and so are no signers at all.
type Signers []Signer

// Sign implements [Signer].
func (ss Signers) Sign(in SignInput) (http.Header, error) {
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

// Unsigned is a [Signer] that adds nothing, and the [Verifier] that accepts
// everything: receivers cannot know who sent a request.
type Unsigned struct{}

// Sign implements [Signer].
func (Unsigned) Sign(SignInput) (http.Header, error) { return nil, nil }

// Verify implements [Verifier]: it returns nil.
func (Unsigned) Verify(http.Header, []byte, []Secret, time.Time) error { return nil }
