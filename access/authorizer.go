package access

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What a principal can want of a subscription. There will be more: an
// [Authorizer] denies those that it does not know.
const (
	// VerbView is to see it: its fields and state, and what is known of its
	// secrets without them. Whoever may not is told that it does not exist.
	VerbView Verb = "view"

	// VerbCreate is to make it, or to make an existing one what the action says, if
	// it was another: at another site, for other events, to another host.
	VerbCreate Verb = "create"

	// VerbChange is to change its other fields and its state.
	VerbChange Verb = "change"

	// VerbDelete is to delete it.
	VerbDelete Verb = "delete"

	// VerbSecret is to read, rotate, confirm and revoke its secrets.
	VerbSecret Verb = "secret"

	// VerbHistory is to see what it was sent: deliveries, attempts and messages.
	VerbHistory Verb = "history"

	// VerbSend is to have something sent to it: pings and redeliveries, and the
	// end of what is pending.
	VerbSend Verb = "send"
)

// Verb is what a principal wants of a subscription.
type Verb string

// Verbs are all that there are.
func Verbs() []Verb {
	return []Verb{VerbView, VerbCreate, VerbChange, VerbDelete, VerbSecret, VerbHistory, VerbSend}
}

// Action asks whether Principal may do Verb with a subscription as it is, or, of
// VerbCreate, as it would be. It holds no secret.
type Action struct {
	// Principal is who wants it. It is never "".
	Principal string `json:"principal"`

	Verb Verb `json:"verb"`

	// SubscriptionID is the subscription; "" for one that is not there yet.
	SubscriptionID string `json:"subscription_id"`

	// Site is where it sits: it hears of everything there and below.
	Site Path `json:"site"`

	// Owner is the principal that it belongs to; "" with Operator.
	Owner string `json:"owner"`

	// Operator says that nobody is asked what it may hear.
	Operator bool `json:"operator"`

	// Permission is what its owner needs for a resource; "" with Operator.
	Permission string `json:"permission"`

	// Host is where its requests go: the host of its URL, with a port if the URL
	// has one.
	Host string `json:"host"`

	// Events and Channels are what it hears. Patterns that begin with "before:" make
	// it a gate, which can veto what is done. They must not be modified.
	Events   []string `json:"events"`
	Channels []string `json:"channels"`

	// Filter is the expression that narrows what it hears, if there is one.
	Filter string `json:"filter"`

	// FailClosed says that what is asked of a gate does not happen while that does
	// not answer.
	FailClosed bool `json:"fail_closed"`

	// MaxInFlight is how many requests to it may be under way at the same time, and
	// Timeout is how long one may take; 0 is the engine's default. Slow requests and many
	// at a time take from what all subscriptions have.
	MaxInFlight int           `json:"max_in_flight"`
	Timeout     time.Duration `json:"timeout_ns"`

	// Rate is how many events a second may be sent to it, and Burst how many at once after a
	// pause. A Rate of 0 is the most that the engine allows (Limits.MaxRate), which can be no
	// limit: it is more than any other.
	Rate  float64 `json:"rate"`
	Burst int     `json:"burst"`
}

// Authorizer decides what principals may do with subscriptions. Applications
// implement it, or take [SiteManagers]; it will not gain methods: more abilities
// come as further interfaces, as [BatchAuthorizer] does. Verbs and fields of
// [Action] can be added.
//
// Authorize returns nil when it is allowed, an error that wraps [ErrDenied] or
// [ErrUnknownPrincipal] when it is not. Any other error means "not known now":
// nothing is done, and whoever asked may try again later.
//
// It is called from several goroutines at once, and while Riverhook holds no
// connection, unless the caller's own transaction is open. It must return when
// ctx is done. A panic counts as an error of that call alone.
type Authorizer interface {
	Authorize(ctx context.Context, a Action) error
}

// BatchAuthorizer is an optional addition to [Authorizer] for those that answer
// many questions at the price of one, such as those about a page of a list.
//
// AuthorizeMany returns exactly one answer for each action, in their order, each
// as Authorize would have given it. An answer of another length is an error for
// all of them.
type BatchAuthorizer interface {
	Authorizer

	AuthorizeMany(ctx context.Context, as []Action) []error
}

// AuthorizerFunc makes an [Authorizer] of a function. A nil one denies everything.
type AuthorizerFunc func(ctx context.Context, a Action) error

// Authorize implements [Authorizer].
func (f AuthorizerFunc) Authorize(ctx context.Context, a Action) error {
	if f == nil {
		return ErrDenied
	}
	return f(ctx, a)
}

// defaultTimeout is how long a checker or an authorizer may take for one answer.
const defaultTimeout = 5 * time.Second

// AuthorizeAll asks an [Authorizer] about actions, and returns an answer for each in their
// order. Everything fails closed: a nil auth denies everything, and the principal "" is denied
// everything. An authorizer has 5 s for a call; no answer within it, a panic, and a wrong
// number of answers are errors that are no decision. The authorizer is asked about one action
// after the other, or in one call if it is a [BatchAuthorizer]. What it denies is an
// [ErrDenied], also to a principal that is unknown.
//
// Riverhook asks in this way on behalf of the principals of its handles. An application does
// for what it checks itself.
func AuthorizeAll(ctx context.Context, auth Authorizer, as []Action) []error {
	if isNil(auth) {
		auth = nil
	}
	answers := make([]error, len(as))
	var asked []Action
	var index []int
	for i, a := range as {
		switch {
		case auth == nil:
			answers[i] = fmt.Errorf("%w: there is no authorizer", ErrDenied)
		case a.Principal == "":
			answers[i] = fmt.Errorf("%w: nobody asks", ErrDenied)
		default:
			asked, index = append(asked, a), append(index, i)
		}
	}
	if len(asked) == 0 {
		return answers
	}
	for j, err := range authorize(ctx, auth, asked) {
		if errors.Is(err, ErrUnknownPrincipal) && !errors.Is(err, ErrDenied) {
			err = fmt.Errorf("%w: %w", ErrDenied, err)
		}
		answers[index[j]] = err
	}
	return answers
}

func authorize(ctx context.Context, auth Authorizer, as []Action) []error {
	e := entry{name: "authorizer"}
	if batch, ok := auth.(BatchAuthorizer); ok {
		return e.call(ctx, defaultTimeout, len(as), func(ctx context.Context) []error { return batch.AuthorizeMany(ctx, as) })
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout) // of all of them
	defer cancel()
	answers := make([]error, len(as))
	for i, a := range as {
		answers[i] = e.call(ctx, defaultTimeout, 1, func(ctx context.Context) []error {
			return []error{auth.Authorize(ctx, a)}
		})[0]
	}
	return answers
}

// call runs host code in a goroutine of its own, because it may never return, may
// panic and may call runtime.Goexit.
func (e *entry) call(ctx context.Context, timeout time.Duration, n int, check func(context.Context) []error) []error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if ctx.Err() != nil {
		return all(n, e.late(ctx))
	}
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	verdicts := make(chan verdict, n)
	q := &questions{answers: verdicts, entry: e}
	go q.call(ctx, indexes, func() []error { return check(ctx) }, func() {})
	answers := all(n, nil)
	for range n {
		select {
		case v := <-verdicts:
			answers[v.index] = v.err
		case <-ctx.Done():
			return all(n, e.late(ctx))
		}
	}
	return answers
}
