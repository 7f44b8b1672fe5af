package access

import (
	"context"
	"errors"
	"time"
)

// The answers of a [Checker] or [Authorizer] that are decisions. They are recognised with
// errors.Is, so they may be wrapped to say why.
var (
	// ErrDenied says that the principal may not see the resource, or not do that
	// with the subscription. Of a resource it is final for this intent and this
	// subscription, and is not held against the subscription.
	ErrDenied = errors.New("access: denied")

	// ErrUnknownPrincipal says that the principal does not exist (any more).
	// Nothing is sent, and it counts towards the deactivation of the subscription.
	ErrUnknownPrincipal = errors.New("access: unknown principal")
)

// ErrNoChecker says that this process has no checker for the kind of a
// resource. It is an error of wiring and never a decision: the subscriptions
// that depend on it wait for a process that has the checker.
var ErrNoChecker = errors.New("access: no checker")

// Request asks whether Principal has Permission for Resource. It carries what
// the intent recorded, so that a resource that is already gone when the
// question is asked can still be judged by where it was and what it held.
type Request struct {
	// Principal is the owner of a subscription, or the actor of the intent
	// when the subscription asks for both.
	Principal string `json:"principal"`
	// Permission is the subscription's permission, "view" by default.
	Permission string `json:"permission"`
	// Site is the path of the place where the resource is as the sites are now: its
	// site, or the nearest above it that the tree knows. Every site has a path, and that
	// of a site which was moved is its new one.
	Site Path `json:"site"`
	// RecordedSite is the path that the intent has: where the resource lived when it
	// was written. Another site can have that path now.
	RecordedSite Path `json:"recorded_site"`
	// ActiveSite is where the operation ran, as the sites are now; "" is none.
	ActiveSite Path `json:"active_site"`
	// Channel is the intent's; "" is none.
	Channel string `json:"channel"`
	// EventType is the type of the intent, such as "user.deleted".
	EventType string `json:"event_type"`
	// IntentID is the wire id of the intent (webhook-id).
	IntentID string `json:"intent_id"`
	// Actor is the principal whose action caused the event; "" is unknown.
	Actor string `json:"actor"`

	Resource Resource `json:"resource"`

	// Attributes and Data are the intent's. They are shared with other calls
	// and must not be modified. Data is JSON.
	Attributes map[string]string `json:"attributes"`
	Data       []byte            `json:"data"`

	OccurredAt time.Time `json:"occurred_at"`
}

// Checker decides whether a principal may see a resource. Applications
// implement it; it will not gain methods: more abilities come as further
// interfaces, as [BatchChecker] does.
//
// Check returns nil when it is allowed, an error that wraps [ErrDenied] or
// [ErrUnknownPrincipal] when it is not. Any other error means "not known now":
// nothing is sent, and the question is asked again later, without using up an
// attempt, until delivery.Config.Maintenance.MaxHold ends the wait.
//
// Check is called from several goroutines at once and outside any database
// transaction of Riverhook, so it may use a connection of its own; it sees
// committed state. It must return when ctx is done. A panic counts as an error
// of that call alone.
type Checker interface {
	Check(ctx context.Context, r Request) error
}

// BatchChecker is an optional addition to [Checker] for those that answer many
// requests at the price of one, such as by one query.
//
// CheckMany returns exactly one answer for each request, in their order, each
// as Check would have given it. An answer of another length is an error for all
// of the requests.
type BatchChecker interface {
	CheckMany(ctx context.Context, rs []Request) []error
}

// CheckerFunc makes a [Checker] of a function. A nil CheckerFunc denies
// nothing and allows nothing: it fails with [ErrNoChecker].
type CheckerFunc func(ctx context.Context, r Request) error

// Check implements [Checker].
func (f CheckerFunc) Check(ctx context.Context, r Request) error {
	if f == nil {
		return ErrNoChecker
	}
	return f(ctx, r)
}
