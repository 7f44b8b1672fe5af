package accesstest

import (
	"context"
	"fmt"
	"sync"

	"github.com/riverhook/riverhook/access"
)

// Allow returns a checker that allows everything.
func Allow() access.Checker { return Fail(nil) }

// Deny returns a checker that denies everything with [access.ErrDenied].
func Deny() access.Checker { return Fail(access.ErrDenied) }

// Fail returns a checker that answers everything with err.
func Fail(err error) access.Checker {
	return access.CheckerFunc(func(context.Context, access.Request) error { return err })
}

// Table is a checker that answers by principal: nil allows. A principal that is
// not in it is unknown. It must not be changed while it is in use.
type Table map[string]error

// Check implements [access.Checker].
func (t Table) Check(_ context.Context, r access.Request) error {
	err, ok := t[r.Principal]
	if !ok {
		return fmt.Errorf("%w %q", access.ErrUnknownPrincipal, r.Principal)
	}
	return err
}

// CheckMany implements [access.BatchChecker].
func (t Table) CheckMany(ctx context.Context, rs []access.Request) []error {
	answers := make([]error, len(rs))
	for i, r := range rs {
		answers[i] = t.Check(ctx, r)
	}
	return answers
}

// Script is a checker that gives its answers one after the other, whatever the
// request, and the last one from then on. Without answers it allows.
type Script struct {
	mu      sync.Mutex
	answers []error
}

// NewScript returns a Script of these answers.
func NewScript(answers ...error) *Script {
	return &Script{answers: append([]error(nil), answers...)}
}

// Flaky returns a Script that fails with err n times and then allows.
func Flaky(n int, err error) *Script {
	s := &Script{}
	for range n {
		s.answers = append(s.answers, err)
	}
	s.answers = append(s.answers, nil)
	return s
}

// Check implements [access.Checker].
func (s *Script) Check(context.Context, access.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 {
		return nil
	}
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	return answer
}

// Blocking is a checker that does not answer before Release, or the end of the
// call's context, whose error it then returns.
type Blocking struct {
	entered  chan access.Request
	released chan struct{}
	once     sync.Once
}

// NewBlocking returns a Blocking checker that is not released.
func NewBlocking() *Blocking {
	return &Blocking{entered: make(chan access.Request), released: make(chan struct{})}
}

// Entered delivers each request as its call starts to wait. Nobody needs to
// receive from it.
func (b *Blocking) Entered() <-chan access.Request { return b.entered }

// Release lets all calls, also later ones, return nil. It may be called often.
func (b *Blocking) Release() { b.once.Do(func() { close(b.released) }) }

// Check implements [access.Checker].
func (b *Blocking) Check(ctx context.Context, r access.Request) error {
	entered := b.entered
	for {
		select {
		case entered <- r:
			entered = nil
		case <-b.released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Recorder keeps the requests that it passes on to another checker, one by one.
type Recorder struct {
	checker access.Checker

	mu       sync.Mutex
	requests []access.Request
}

// Record returns a Recorder in front of c.
func Record(c access.Checker) *Recorder { return &Recorder{checker: c} }

// Check implements [access.Checker].
func (r *Recorder) Check(ctx context.Context, req access.Request) error {
	r.mu.Lock()
	r.requests = append(r.requests, req)
	r.mu.Unlock()
	return r.checker.Check(ctx, req)
}

// Requests returns what was asked so far, in the order of arrival.
func (r *Recorder) Requests() []access.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]access.Request(nil), r.requests...)
}
