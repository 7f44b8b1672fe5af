package gates

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
)

// Outcome is what a gate answered to a question. Package delivery documents it.
type Outcome string

// The outcomes.
const (
	Agreed     Outcome = "agreed"
	NotAsked   Outcome = "not_asked"
	Unanswered Outcome = "unanswered"
	Vetoed     Outcome = "vetoed"
)

// Gate is a subscription that a question matched, and what it answered.
type Gate struct {
	SubscriptionID uuid.UUID
	Name           string
	Outcome        Outcome
	Reason         string
	FailClosed     bool
	DeliveryID     uuid.UUID // zero: no request was made
}

// question is a question that is being asked: an expansion without River job, and what
// came of each request.
type question struct {
	chunk expand.Chunk
	begun time.Time
	held  *payloads.Held                    // its messages
	asked map[uuid.UUID]*attempt.Transition // by subscription; none for those that got no request
}

// newQuestion is a question of which nobody was asked yet. version is that of the sites.
func newQuestion(ev dialect.Event, version int64, begun time.Time) *question {
	return &question{
		chunk: expand.Chunk{
			Intent: &expand.Intent{
				ID:          uuid.MustParse(ev.ID),
				State:       expand.IntentPending,
				Event:       ev,
				TreeVersion: version,
			},
			Messages: map[string]dialect.Message{},
			ReadAt:   begun,
		},
		begun: begun,
		asked: map[uuid.UUID]*attempt.Transition{},
	}
}

// has reports whether it is decided about a subscription.
func (q *question) has(subscription uuid.UUID) bool {
	for i := range q.chunk.Decisions {
		if q.chunk.Decisions[i].Subscription.ID == subscription {
			return true
		}
	}
	return false
}

// inputs are the requests of a chunk, in the order of its decisions; nil for those that
// have none. Each gets its id from newID.
func inputs(c *expand.Chunk, newID func() uuid.UUID, stored map[uuid.UUID]*store.LoadGatesRow) []*send.Input {
	all, now := make([]*send.Input, len(c.Decisions)), time.Now()
	for i := range c.Decisions {
		d := &c.Decisions[i]
		if d.Outcome != decide.OutcomeDeliver {
			continue
		}
		row, ok := stored[d.Subscription.ID]
		if !ok {
			d.Outcome, d.Reason = decide.OutcomeInactive, "the subscription was deleted"
			continue
		}
		d.DeliveryID = newID()
		in := c.Input(d, row.Secrets)
		in.Message = c.Messages[d.Subscription.Dialect]
		in.Question = true
		in.Endpoint = attempt.Endpoint{
			AskedUntil:    attempt.In(now, row.AskedMs),
			CircuitUntil:  attempt.In(now, row.CircuitMs),
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Probed:        row.Probed,
			Gone:          row.Gone,
			Failing:       row.Failing,
		}
		all[i] = in
	}
	return all
}

// gates are what each gate answered.
func (q *question) gates() []Gate {
	gates := make([]Gate, len(q.chunk.Decisions))
	for i := range q.chunk.Decisions {
		d := &q.chunk.Decisions[i]
		g := &gates[i]
		*g = Gate{
			SubscriptionID: d.Subscription.ID,
			Name:           d.Subscription.Name,
			FailClosed:     d.Subscription.FailClosed,
			DeliveryID:     d.DeliveryID,
			Reason:         d.Reason,
		}
		tr := q.asked[d.Subscription.ID]
		switch {
		case d.Outcome == decide.OutcomeUnanswered:
			g.Outcome = Unanswered
		case tr == nil:
			g.Outcome = NotAsked
		case tr.Attempt.Outcome == attempt.OutcomeDelivered:
			g.Outcome = Agreed
		case tr.Attempt.Outcome == attempt.OutcomeVetoed:
			g.Outcome, g.Reason = Vetoed, *tr.Attempt.Veto
		default:
			g.Outcome, g.Reason = Unanswered, unansweredReason(tr.Attempt)
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
