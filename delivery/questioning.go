package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/internal/store"
)

// questioning is a question that is being asked: an expansion without River job, and
// what came of each request.
type questioning struct {
	expansion

	Asked map[uuid.UUID]*attempt.Transition // by subscription; none for those that got no request
	Begun time.Time
}

// targets are the requests that are to be made, by the place of their decision; nil
// where there is none.
func (q *questioning) targets(ids *ids, stored map[uuid.UUID]store.LoadGatesRow) []*target {
	targets, now := make([]*target, len(q.Decisions)), time.Now()
	for i := range q.Decisions {
		d := &q.Decisions[i]
		if d.Outcome != decide.OutcomeDeliver {
			continue
		}
		row, ok := stored[d.Subscription.ID]
		if !ok {
			d.Outcome, d.Reason = decide.OutcomeInactive, "the subscription was deleted"
			continue
		}
		d.DeliveryID = ids.next()
		t := firstAttempt(&q.expansion, d, row.Secrets)
		t.Message = q.Messages[d.Subscription.Dialect]
		t.Question = true
		t.Endpoint = attempt.Endpoint{
			AskedUntil:    attempt.After(now, row.AskedMs),
			CircuitUntil:  attempt.After(now, row.CircuitMs),
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Probed:        row.Probed,
			Gone:          row.Gone,
			Failing:       row.Failing,
		}
		targets[i] = t
	}
	return targets
}

// gates are what is told of the question.
func (q *questioning) gates() []Gate {
	gates := make([]Gate, len(q.Decisions))
	for i, d := range q.Decisions {
		sub := &d.Subscription
		gates[i] = Gate{
			SubscriptionID: sub.ID,
			Name:           sub.Name,
			FailClosed:     sub.FailClosed,
			DeliveryID:     d.DeliveryID,
			Reason:         d.Reason,
		}
		g := &gates[i]
		tr := q.Asked[sub.ID]
		switch {
		case d.Outcome == decide.OutcomeUnanswered:
			g.Outcome = GateUnanswered
		case tr == nil:
			g.Outcome = GateNotAsked
		case tr.Attempt.Outcome == OutcomeDelivered:
			g.Outcome = GateAgreed
		case tr.Attempt.Outcome == OutcomeVetoed:
			g.Outcome, g.Reason = GateVetoed, *tr.Attempt.Veto
		default:
			g.Outcome, g.Reason = GateUnanswered, unansweredReason(tr.Attempt)
		}
	}
	return gates
}

func unansweredReason(a *attempt.Attempt) string {
	if a.Error != "" {
		return a.Error
	}
	return fmt.Sprintf("it answered %d", a.Status)
}
