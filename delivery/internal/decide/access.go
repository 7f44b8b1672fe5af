package decide

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/resolve"
)

// Access asks the checkers of the application whether principals may see a resource.
type Access struct {
	Checkers     *access.Registry
	RequireActor bool // the actor of an event must be allowed as well as the owner
}

// AppendRequests appends a request for each principal who must be allowed to see the
// resource of an event, which is at a place now.
func (a *Access) AppendRequests(
	to []access.Request, ev dialect.Event, at resolve.Place, owner, permission string,
) []access.Request {
	to = append(to, request(ev, at, owner, permission))
	if a.RequireActor && ev.Actor != "" && ev.Actor != owner {
		to = append(to, request(ev, at, ev.Actor, permission))
	}
	return to
}

func request(ev dialect.Event, at resolve.Place, principal, permission string) access.Request {
	return access.Request{
		Principal:    principal,
		Permission:   permission,
		Site:         at.Site,
		RecordedSite: access.Path(ev.Site),
		ActiveSite:   at.ActiveSite,
		Channel:      ev.Channel,
		EventType:    ev.Type,
		IntentID:     ev.ID,
		Actor:        ev.Actor,
		Resource:     access.Resource{Kind: ev.ResourceKind, ID: ev.ResourceID},
		Attributes:   ev.Attributes,
		Data:         ev.Data,
		OccurredAt:   ev.OccurredAt,
	}
}

// Check asks the checkers, all requests being about one resource. The age of the answers
// counts from at: what is revoked while they are under way is as old. The error is that of
// by: no checker was asked.
func (a *Access) Check(
	ctx context.Context, by *callbacks.Caller, requests []access.Request,
) (answers []error, at time.Time, err error) {
	at = time.Now()
	err = by.Call(ctx, callbacks.StepChecker(requests[0].Resource.Kind), func() {
		answers = a.Checkers.CheckMany(ctx, requests)
	})
	return answers, at, err
}

// CheckEach is Check that hands on each answer as soon as it is there, with the index of
// its request.
func (a *Access) CheckEach(
	ctx context.Context, by *callbacks.Caller, requests []access.Request, answered func(i int, answer error),
) error {
	return by.Call(ctx, callbacks.StepChecker(requests[0].Resource.Kind), func() {
		a.Checkers.CheckEach(ctx, requests, answered)
	})
}

// Refusal is what follows from an answer that is not nil: it is final, or it waits for a
// cause.
func Refusal(answer error, r access.Request) (outcome Outcome, reason string, cause attempt.Cause) {
	switch {
	case errors.Is(answer, access.ErrDenied):
		return OutcomeDenied, fmt.Sprintf("%q may not %s the resource", r.Principal, r.Permission) + added(answer, access.ErrDenied), cause
	case errors.Is(answer, access.ErrUnknownPrincipal):
		return OutcomeUnresolvable, fmt.Sprintf("there is no principal %q", r.Principal) + added(answer, access.ErrUnknownPrincipal), cause
	case errors.Is(answer, access.ErrNoChecker):
		cause = attempt.Cause{Kind: attempt.CauseChecker, Name: r.Resource.Kind}
		return OutcomeWaiting, fmt.Sprintf(callbacks.ReasonNoChecker+"for resources of kind %q in the process that tried", r.Resource.Kind), cause
	default:
		cause = attempt.Cause{Kind: attempt.CauseCheck, Name: r.Resource.Kind}
		return OutcomeWaiting, callbacks.ReasonUndecided + callbacks.Brief(answer), cause
	}
}

// added is what a checker said besides the plain error.
func added(answer, plain error) string {
	if text := callbacks.Brief(answer); text != plain.Error() {
		return ": " + text
	}
	return ""
}
