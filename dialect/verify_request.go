package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// defaultMaxBody is how many bytes [VerifyRequest] reads of a body: 1 MiB.
const defaultMaxBody = 1 << 20

// VerifyRequestOpts are the options of [VerifyRequest].
type VerifyRequestOpts struct {
	// MaxBody is how many bytes the body may have. 0 is 1 MiB; a
	// negative one makes VerifyRequest fail.
	MaxBody int64

	// Now is the receiver's clock. Default: time.Now.
	Now func() time.Time
}

// VerifyRequest is what a receiver calls before anything else: it reads the body
// of r within a limit, verifies it by v with any of the secrets, and returns the
// bytes that were signed. Until the error is nil, nothing of the request is to be
// trusted. r.Body can then be read again, from its start, also after a
// verification that failed; it must not have been read before. nil opts are the
// defaults. The tolerance for the time of a request is v's.
//
// Errors are those of a [Verifier], or [ErrBodyTooLarge], or wrap the one of
// reading the body, such as a sender's that went away. A receiver answers 413 to
// ErrBodyTooLarge and 401 to a Verifier's.
//
// It is safe for concurrent use. Of this package it alone reads and, unless it is
// given one, has a clock.
func VerifyRequest(r *http.Request, v Verifier, secrets []Secret, opts *VerifyRequestOpts) ([]byte, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if isNil(v) {
		return nil, errors.New("dialect: verify: the Verifier is nil")
	}
	body, err := readBody(r, o.MaxBody)
	if err != nil {
		return nil, err
	}
	if err := v.Verify(r.Header, body, secrets, o.Now()); err != nil {
		return nil, err
	}
	return body, nil
}

func (o *VerifyRequestOpts) withDefaults() (VerifyRequestOpts, error) {
	var out VerifyRequestOpts
	if o != nil {
		out = *o
	}
	if out.MaxBody < 0 {
		return out, errors.New("dialect: verify: VerifyRequestOpts.MaxBody must not be negative")
	}
	if out.MaxBody == 0 {
		out.MaxBody = defaultMaxBody
	}
	if out.Now == nil {
		out.Now = time.Now
	}
	return out, nil
}

// readBody leaves a body in r that starts anew, and is closed as the one before.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBodyTooLarge, r.ContentLength, limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrBodyTooLarge, tooLarge.Limit)
	}
	if err != nil {
		return nil, fmt.Errorf("dialect: verify: read the body: %w", err)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	return body, nil
}
