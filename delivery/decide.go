package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/payload"
	"github.com/riverhook/riverhook/subscription"
)

// What becomes of an intent for one subscription. outcomeDeliver is a delivery;
// the others are rows of the table decision.
const (
	decisionDeliver      = "deliver"
	decisionWaiting      = "waiting"
	decisionDenied       = "denied"
	decisionFiltered     = "filtered"
	decisionUnresolvable = "unresolvable"
	decisionInactive     = "inactive"
	decisionGone         = "gone"
	decisionFailed       = "failed"
	decisionUnanswered   = "unanswered" // of a question, which is asked now or never
	decisionFilterError  = "filter_error"
)

// decision is what was decided for one match.
type decision struct {
	subscription.Match

	DeliveryID   uuid.UUID // of a delivery
	Outcome      string
	Reason       string
	Hold         attempt.Hold
	OwnerUnknown bool // counts against the subscription
	Tries        int
	AccessAt     time.Time // when access was asked for; zero: never
}

// decide works out what becomes of an intent for each match: is the
// subscription in force, does its filter let it pass, may its owner see the
// resource, and is there a message in its dialect. messages are those made
// before; it returns the new ones.
//
// It calls host code and so must be called while no connection is held. What is given
// up of that fails the decisions that it is for; where by has stalled, nothing of what
// it returns is to be used.
func (e *Engine) decide(
	ctx context.Context, by *callbacks.Caller, in *intent, matches []subscription.Match, tries map[uuid.UUID]int,
	messages map[string]dialect.Message,
) (decisions []decision, made map[string]dialect.Message) {
	decisions = make([]decision, len(matches))
	for i, m := range matches {
		decisions[i] = decision{
			Match:   m,
			Outcome: decisionDeliver,
			Tries:   tries[m.Subscription.ID],
		}
		if reason := inactiveReason(&m.Subscription); reason != "" {
			decisions[i].Outcome, decisions[i].Reason = decisionInactive, reason
		}
	}
	e.applyFilters(ctx, by, in.Event, decisions)
	e.judgeAccess(ctx, by, in, decisions)
	made = e.makeMessages(ctx, by, in.Event, decisions, messages)
	for i := range decisions {
		d := &decisions[i]
		if d.Outcome == decisionDeliver && d.Subscription.State == subscription.StatePaused {
			d.Hold = attempt.HoldPaused
		}
	}
	return decisions, made
}

// inactiveReason is why no deliveries are made for a subscription; "" where they are.
func inactiveReason(sub *subscription.Subscription) string {
	switch sub.State {
	case subscription.StateDeactivated:
		return attempt.DeactivatedReason(sub.StateReason)
	case subscription.StatePendingVerification:
		return attempt.UnverifiedReason(sub.StateReason)
	default:
		return ""
	}
}

// judgeAccess asks for all owners in one call, so that a checker can answer
// them together.
func (e *Engine) judgeAccess(ctx context.Context, by *callbacks.Caller, in *intent, decisions []decision) {
	var (
		ev       = in.Event
		requests []access.Request
		asked    []int
	)
	for i, d := range decisions {
		if d.Outcome != decisionDeliver || d.Subscription.Operator {
			continue
		}
		for _, principal := range e.principals(ev, d.Subscription.Owner) {
			requests = append(requests, accessRequest(ev, in.Place, principal, d.Subscription.Permission))
			asked = append(asked, i)
		}
	}
	if len(requests) == 0 {
		return
	}
	now := time.Now() // what is revoked while the answers are on their way counts from here
	for _, i := range asked {
		decisions[i].AccessAt = now
	}
	answers, err := e.checkMany(ctx, by, ev, requests)
	if err != nil {
		for _, i := range asked {
			decisions[i].Outcome, decisions[i].Reason = decisionFailed, err.Error()
		}
		return
	}
	for j, err := range answers {
		if d := &decisions[asked[j]]; err != nil && d.Outcome != decisionDenied {
			d.Outcome, d.Reason = judge(err, requests[j])
			d.OwnerUnknown = d.Outcome == decisionUnresolvable && requests[j].Principal == d.Subscription.Owner
		}
	}
}

// checkMany asks the application's checkers. The error is that of by: nobody was asked.
func (e *Engine) checkMany(ctx context.Context, by *callbacks.Caller, ev dialect.Event, requests []access.Request) (answers []error, err error) {
	err = by.Call(ctx, callbacks.StepChecker(ev.ResourceKind), func() { answers = e.cfg.Access.CheckMany(ctx, requests) })
	return answers, err
}

// principals are those who must be allowed to see the resource.
func (e *Engine) principals(ev dialect.Event, owner string) []string {
	if e.cfg.RequireActor && ev.Actor != "" && ev.Actor != owner {
		return []string{owner, ev.Actor}
	}
	return []string{owner}
}

func judge(err error, r access.Request) (outcome, reason string) {
	switch {
	case errors.Is(err, access.ErrDenied):
		return decisionDenied, fmt.Sprintf("%q may not %s the resource", r.Principal, r.Permission) + added(err, access.ErrDenied)
	case errors.Is(err, access.ErrUnknownPrincipal):
		return decisionUnresolvable, fmt.Sprintf("there is no principal %q", r.Principal) + added(err, access.ErrUnknownPrincipal)
	case errors.Is(err, access.ErrNoChecker):
		return decisionWaiting, fmt.Sprintf(callbacks.ReasonNoChecker+"for resources of kind %q in this process", r.Resource.Kind)
	default:
		return decisionWaiting, callbacks.ReasonUndecided + callbacks.Brief(err)
	}
}

// added is what a checker has said beside the plain error.
func added(err, plain error) string {
	if text := callbacks.Brief(err); text != plain.Error() {
		return ": " + text
	}
	return ""
}

// makeMessages gives each dialect that is still wanted its message.
func (e *Engine) makeMessages(
	ctx context.Context, by *callbacks.Caller, ev dialect.Event, decisions []decision, messages map[string]dialect.Message,
) map[string]dialect.Message {
	made := map[string]dialect.Message{}
	failed := map[string]decision{}
	for i := range decisions {
		d := &decisions[i]
		name := d.Subscription.Dialect
		if d.Outcome != decisionDeliver {
			continue
		}
		if _, ok := messages[name]; ok {
			continue
		}
		if _, ok := made[name]; ok {
			continue
		}
		failure, known := failed[name]
		if !known {
			msg, f := e.makeMessage(ctx, by, ev, name)
			if f == nil {
				made[name] = msg
				continue
			}
			failure = *f
			failed[name] = failure
		}
		d.Outcome = failure.Outcome
		d.Reason = failure.Reason
		d.Tries += failure.Tries
		if d.Outcome == decisionWaiting && d.Tries >= e.cfg.ExternalizeTries {
			d.Outcome = decisionFailed
		}
	}
	return made
}

// makeMessage externalizes the resource in one dialect. A failure says what
// becomes of the decisions that wanted it, and in Tries whether it counts.
func (e *Engine) makeMessage(ctx context.Context, by *callbacks.Caller, ev dialect.Event, name string) (dialect.Message, *decision) {
	d, ok := e.cfg.Dialects.Get(name)
	if !ok {
		return dialect.Message{}, &decision{Outcome: decisionWaiting, Reason: fmt.Sprintf("no dialect %q in this process", name)}
	}
	data := ev.Data
	if x, found := e.cfg.Externalizers.Find(name, ev.ResourceKind, ev.Type); found && !event.IsReserved(ev.Type) {
		var err error
		if data, err = e.callExternalizer(ctx, by, name, x, ev); err != nil {
			switch {
			case callbacks.IsEnded(err):
				return dialect.Message{}, &decision{Outcome: decisionFailed, Reason: err.Error()}
			case errors.Is(err, ErrGone):
				return dialect.Message{}, &decision{Outcome: decisionGone, Reason: "the resource is gone"}
			}
			return dialect.Message{}, &decision{
				Outcome: decisionWaiting,
				Reason:  callbacks.ReasonExternalizer + callbacks.Brief(err),
				Tries:   1,
			}
		}
	} else if err := callbacks.CheckSize("data", len(data), e.cfg.MaxRequestBytes); err != nil {
		return dialect.Message{}, &decision{Outcome: decisionFailed, Reason: err.Error()}
	}
	msg, err := envelope(ctx, by, d, ev, data)
	if callbacks.IsEnded(err) {
		return dialect.Message{}, &decision{Outcome: decisionFailed, Reason: err.Error()}
	}
	if err != nil {
		return dialect.Message{}, &decision{
			Outcome: decisionWaiting,
			Reason:  callbacks.ReasonDialect + callbacks.Brief(err),
			Tries:   1,
		}
	}
	if err := callbacks.CheckSize("message", len(msg.Body), e.cfg.MaxRequestBytes); err != nil {
		return dialect.Message{}, &decision{Outcome: decisionFailed, Reason: err.Error()}
	}
	return msg, nil
}

// logTrouble says why decisions wait or have failed, once for each reason.
func (e *Engine) logTrouble(ctx context.Context, ex *expansion) {
	waiting := map[string]int{}
	failed := map[string]int{}
	unfiltered := map[string]int{}
	for _, d := range ex.Decisions {
		switch d.Outcome {
		case decisionWaiting:
			waiting[d.Reason]++
		case decisionFailed:
			failed[d.Reason]++
		case decisionFilterError:
			unfiltered[d.Reason]++
		}
	}
	for reason, n := range waiting {
		e.log.WarnContext(ctx, "riverhook: decisions wait", "intent", ex.Intent.Event.ID, "subscriptions", n, "reason", reason)
	}
	for reason, n := range unfiltered {
		e.log.WarnContext(ctx, "riverhook: filters failed", "intent", ex.Intent.Event.ID, "subscriptions", n, "reason", reason)
	}
	for reason, n := range failed {
		e.log.ErrorContext(ctx, "riverhook: decisions failed", "intent", ex.Intent.Event.ID, "subscriptions", n, "reason", reason)
	}
}

// callExternalizer returns data as an intent may have it, or why there is none.
func (e *Engine) callExternalizer(
	ctx context.Context, by *callbacks.Caller, dialectName string, x Externalizer, ev dialect.Event,
) ([]byte, error) {
	data, err := callbacks.Do(ctx, by, callbacks.StepExternalizer(dialectName), e.cfg.ExternalizeTimeout,
		func(ctx context.Context) ([]byte, error) { return x.Externalize(ctx, ev) })
	if err != nil {
		return nil, err
	}
	if err := callbacks.CheckSize("data", len(data), e.cfg.MaxRequestBytes); err != nil {
		return nil, err
	}
	if err := payload.Check(data); err != nil {
		return nil, fmt.Errorf("the data %w", err)
	}
	return data, nil
}

// envelope has a dialect make a message. The end of ctx does not cut it off: it takes
// no time.
func envelope(
	ctx context.Context, by *callbacks.Caller, d dialect.Dialect, ev dialect.Event, data []byte,
) (msg dialect.Message, err error) {
	refused := by.Call(ctx, callbacks.StepDialect(d.Name()), func() {
		msg, err = callbacks.Within(context.WithoutCancel(ctx), callbacks.DialectTimeout,
			func(context.Context) (dialect.Message, error) { return d.Envelope(ev, data) })
	})
	return msg, cmp.Or(refused, err)
}
