package receiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	maxTimeout     = 15 * time.Minute // of Receiver.Timeout
	defaultMaxBody = 1 << 20
)

// Func processes an event. Its ctx ends after the receiver's Timeout; it must look at
// it, since nothing else ends a Func. An error, and a panic, fails this attempt: the event is
// processed again after the receiver's Backoff, until MaxAttempts or an error that wraps
// [ErrPermanent]. The error is for the log and the operator; the sender is
// not shown it. It must be safe for concurrent use, and must not modify ev.
type Func func(ctx context.Context, ev Event) (Response, error)

// Secrets are those that the requests of an owner may be signed with, newest first;
// owner is "" for a receiver without Tokens. An error answers the request with 503.
type Secrets func(ctx context.Context, owner string) ([]dialect.Secret, error)

// StaticSecrets are the same for each owner.
func StaticSecrets(secrets ...dialect.Secret) Secrets {
	secrets = slices.Clone(secrets)
	return func(context.Context, string) ([]dialect.Secret, error) { return secrets, nil }
}

// Receiver is one kind of webhook that is taken in. It needs a Verifier or Tokens, and
// may have both.
type Receiver struct {
	// Authorize says who else but a holder of the id may ask for an event and delete
	// it; one who may not is answered 404. Ids are random and told to the sender
	// alone. Default: everyone who has the id, and the token where there are Tokens.
	Authorize func(r *http.Request) bool

	// Backoff is the wait behind the failed attempt of that number, from 1.
	// Default: 1 s, 4 s, 16 s ... up to an hour, each up to a fifth more.
	Backoff func(attempt int) time.Duration

	// DeliveryID finds the sender's id in a request that was verified; "" is none, and
	// then each request is an event. Default: what the Verifier says, where it is a
	// [dialect.Identifier], as those of package dialect are, and no other place; without one,
	// [DeliveryID].
	DeliveryID func(h http.Header, body []byte) string

	// Func processes events. Required.
	Func Func

	// HookSecret stores the secret that the handshake of REST Hooks offers in X-Hook-Secret,
	// for those requests of the owner that come later. Such a request is not signed: an error
	// refuses it with 401, and one that has come before should be refused while the first is
	// in use. Default: there is no handshake.
	HookSecret func(ctx context.Context, owner, secret string) error

	// MaxAttempts is how often the Func may fail before the event has failed for good, and again
	// after each delivery that comes again and each Retry. 1 to 1000. Default: 10.
	MaxAttempts int

	// MaxBody is the most bytes of a body. Default: 1 MiB; GitHub sends up to
	// 25 MB.
	MaxBody int64

	// Name is the receiver's part of the URL: 1 to 64 of a-z, 0-9, _ and -. Required.
	Name string

	// Origins are the senders that the handshake of CloudEvents lets send, by the
	// DNS name in WebHook-Request-Origin. Default: each that asks.
	Origins []string

	// Raw takes bodies of any content type, and each as it is: nothing is parsed. Default:
	// JSON, types that end in +json, and application/x-www-form-urlencoded; what is malformed
	// is refused with 400. Parameters of JSON, such as a charset, have no effect, and neither
	// has a byte order mark.
	Raw bool

	// RedactHeaders are headers whose values are not stored, beside those that are
	// known to have credentials.
	RedactHeaders []string

	// Secrets are what the Verifier verifies with. Required with a Verifier, except for
	// one that has its keys itself.
	Secrets Secrets

	// Sync makes the first attempt within the request. Default: 202 is answered
	// first.
	Sync bool

	// Timeout bounds one run of the Func: 1 ms to 15 min. Default: 1 min.
	Timeout time.Duration

	// Tokens make hook URLs that need to be known: the last part of the URL is a
	// token. Default: none.
	Tokens Tokens

	// Verifier checks the signature. Default: none, and then Tokens are needed.
	Verifier dialect.Verifier

	pings bool // GitHub's ping is one: of another format the header says nothing
}

// pinger is what the verifier of package dialect is that verifies what GitHub sends.
type pinger interface{ Pings() bool }

func (r Receiver) withDefaults() Receiver {
	if r.Authorize == nil {
		r.Authorize = func(*http.Request) bool { return true }
	}
	if r.Backoff == nil {
		r.Backoff = backoff
	}
	identifier, identifies := r.Verifier.(dialect.Identifier)
	switch {
	case r.DeliveryID != nil:
	case identifies:
		r.DeliveryID = identifier.DeliveryID
	default:
		r.DeliveryID = DeliveryID
	}
	hub, pings := r.Verifier.(pinger)
	r.pings = pings && hub.Pings() || !identifies
	if r.MaxAttempts == 0 {
		r.MaxAttempts = 10
	}
	if r.MaxBody == 0 {
		r.MaxBody = defaultMaxBody
	}
	if r.Secrets == nil {
		r.Secrets = StaticSecrets()
	}
	if r.Timeout == 0 {
		r.Timeout = time.Minute
	}
	r.Origins, r.RedactHeaders = slices.Clone(r.Origins), slices.Clone(r.RedactHeaders)
	return r
}

func (r Receiver) validate() error {
	if err := text.CheckName(r.Name); err != nil {
		return fmt.Errorf("Receiver.Name: %w", err)
	}
	switch {
	case r.Func == nil:
		return errors.New("Receiver.Func is required")
	case r.Verifier == nil && r.Tokens == nil:
		return errors.New("Receiver: a Verifier or Tokens are required, else anyone can send")
	case r.HookSecret != nil && r.Verifier == nil:
		return errors.New("Receiver.HookSecret needs a Verifier")
	case r.MaxAttempts < 1 || r.MaxAttempts > 1000:
		return errors.New("Receiver.MaxAttempts must be 1 to 1000")
	case r.MaxBody < 1:
		return errors.New("Receiver.MaxBody must be positive")
	case r.Timeout < time.Millisecond || r.Timeout > maxTimeout:
		return fmt.Errorf("Receiver.Timeout is %s; must be 1ms to %s", r.Timeout, maxTimeout)
	default:
		return nil
	}
}

// Run makes one attempt, for implementations of [Inbox]: it calls the Func within the
// Timeout, and turns a panic into an error of that attempt.
func (r Receiver) Run(ctx context.Context, ev Event) (resp Response, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			resp, err = Response{}, fmt.Errorf("receiver %s: panic: %v", r.Name, p)
		}
	}()
	resp, err = r.Func(ctx, ev)
	if err == nil {
		err = resp.check()
	}
	if err != nil {
		return Response{}, fmt.Errorf("receiver %s: %w", r.Name, err)
	}
	return resp, nil
}

// Final says whether an attempt of that number of its round that failed with err was the last,
// for implementations of [Inbox].
func (r Receiver) Final(attempt int, err error) bool {
	return attempt >= r.MaxAttempts || errors.Is(err, ErrPermanent)
}

func backoff(attempt int) time.Duration {
	wait := min(time.Second<<(2*min(attempt-1, 6)), time.Hour)
	return wait + rand.N(wait/5) //nolint:gosec // it only spreads retries
}
