package deliverytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

const defaultWait = 15 * time.Second

// Request is what a Receiver was sent. One that breaks off before its body is
// complete is not recorded.
type Request struct {
	// At is when the request had been read.
	At time.Time

	// Body is the body, complete.
	Body []byte

	// Err is why the request is not in order: its body was too long or its
	// signature could not be verified; nil if all was well.
	Err error

	// Header are the headers.
	Header http.Header

	// Method, Path (with the query) and Proto are those of the request line.
	Method, Path, Proto string

	// Number counts the receiver's requests from 1.
	Number int
}

// ID is the webhook-id header, "" when there is none.
func (r Request) ID() string {
	return r.Header.Get("Webhook-Id")
}

// Requests returns what arrived so far, in the order of arrival.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Err joins the errors of all requests that were not in order; nil if there was
// none.
func (r *Receiver) Err() error {
	var errs []error
	for _, req := range r.Requests() {
		if req.Err != nil {
			errs = append(errs, fmt.Errorf("deliverytest: request %d: %w", req.Number, req.Err))
		}
	}
	return errors.Join(errs...)
}

// Wait waits until n requests have arrived and returns all that have. It waits
// for no more than 15 seconds if ctx has no deadline; then, and when ctx ends, it
// returns what has arrived and an error that says how many are missing. The
// answer to the last of them may still be under way.
func (r *Receiver) Wait(ctx context.Context, n int) ([]Request, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultWait)
		defer cancel()
	}
	reach := make(chan struct{})
	r.mu.Lock()
	if len(r.requests) >= n {
		close(reach)
	} else {
		r.waiters = append(r.waiters, waiter{n: n, reach: reach})
	}
	r.mu.Unlock()

	select {
	case <-reach:
		return r.Requests(), nil
	case <-ctx.Done():
		got := r.Requests()
		if len(got) >= n {
			return got, nil
		}
		return got, fmt.Errorf("deliverytest: %d of %d requests arrived: %w", len(got), n, ctx.Err())
	}
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	if !r.begin() {
		panic(http.ErrAbortHandler)
	}
	defer r.handlers.Done()
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.cfg.MaxBody))
	got := Request{
		At:     r.cfg.Now(),
		Body:   body,
		Header: req.Header,
		Method: req.Method,
		Path:   req.URL.RequestURI(),
		Proto:  req.Proto,
	}
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); !tooLarge {
			panic(http.ErrAbortHandler) // the sender broke off
		}
		got.Err = fmt.Errorf("read body: %w", err)
	}
	got, answer := r.record(got)
	if got.Err != nil && r.onFail != nil {
		r.onFail(got)
	}
	if answer == nil {
		chosen := r.cfg.Answer(got)
		answer = &chosen
	}
	r.answer(w, req, answer)
}

// begin counts a handler in, unless the receiver is closed.
func (r *Receiver) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.handlers.Add(1)
	return true
}

// record verifies and stores a request, and takes its scripted answer, if any.
func (r *Receiver) record(got Request) (Request, *Answer) {
	r.mu.Lock()
	secrets, public := r.secrets, r.public
	r.mu.Unlock()
	if got.Err == nil {
		got.Err = r.verify(got, secrets, public)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	got.Number = len(r.requests) + 1
	r.requests = append(r.requests, got)
	r.waiters = slices.DeleteFunc(r.waiters, func(w waiter) bool {
		if len(r.requests) < w.n {
			return false
		}
		close(w.reach)
		return true
	})
	if got.Err != nil {
		return got, &Answer{Status: http.StatusUnauthorized}
	}
	if len(r.script) == 0 {
		return got, nil
	}
	answer := r.script[0]
	r.script = r.script[1:]
	return got, &answer
}

func (r *Receiver) verify(got Request, secrets []dialect.Secret, public []dialect.PublicKey) error {
	verifier := r.cfg.Verifier
	if verifier == nil {
		if len(secrets) == 0 && len(public) == 0 {
			return nil
		}
		verifier = dialect.StandardVerifier(&dialect.StandardOpts{PublicKeys: public})
	}
	return verifier.Verify(got.Header, got.Body, secrets, got.At)
}
