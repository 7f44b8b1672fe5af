package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// Ask asks, before something is done, whether it may be: it puts a question to the
// gates, which are the subscriptions with a matching pattern behind "before:", at
// the sites that an event would be told to. The error is nil where it may be done:
// every gate has agreed, or none had to be asked.
//
// A gate agrees by any 2xx. It says no by one with the content type
// dialect.ContentTypeCancel or ContentTypeServoCancel and the body {"reason": "..."}:
// then the error is a [*VetoError] with each veto, once all gates have answered.
// Where none said no, but one with FailClosed could not be asked or did not answer
// well in time, it is an [*UnansweredError]. Gates without FailClosed cannot keep
// anything from being done but by a veto. Answer says what became of each; it comes
// with these two errors as well. Any other error means that nobody was asked:
// [ErrInvalidQuestion], the end of ctx, or one of the database.
//
// Gates are asked once, all at the same time, through the egress policy, in
// their dialects and signed like deliveries. One deadline holds for the questions
// and for what leads to them: the look-up, access checks, externalizers, slots. Those
// whose owner may not see the resource, and those that are not active, are not asked
// and stop nothing. An endpoint whose circuit is open is not waited for.
//
// Ask takes no transaction, and is to be called before there is one: for as long as a stranger thinks,
// a transaction would hold its locks and its connection, and keep vacuum from
// cleaning up. It holds no connection itself while it waits. So by the time of the
// commit an answer can be old: what a gate said is about the moment at which it was asked, and what
// must hold at the commit is to be checked in the transaction.
//
// The question, with what came of it for each gate, is in the history when Ask returns, as an intent
// of the type "before:...". It is recorded in one transaction, behind the answers, within 5 s
// more: a process that ends before leaves nothing. Where it could not be recorded
// the verdict holds, and Answer.Unrecorded says why. A question is never sent again.
//
// The engine need not be started, so that a process which only enqueues can ask. Once it
// is stopped it cannot. Of what is sent at once, Config.MaxInFlight counts questions as well.
func (e *Engine) Ask(ctx context.Context, q Question) (*Answer, error) {
	ev, err := q.event(e.cfg.MaxRequestBytes)
	if err != nil {
		return nil, fmt.Errorf("delivery: ask: %w", err)
	}
	def(&q.Timeout, e.cfg.AskTimeout)
	limited, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	asked, err := e.ask(limited, ev)
	switch {
	case err != nil:
		return nil, fmt.Errorf("delivery: ask %s: %w", ev.Type, err)
	case asked == nil:
		return &Answer{}, nil
	}
	answer := &Answer{ID: ev.ID, Gates: asked.gates(), Unrecorded: e.recordQuestion(ctx, asked)}
	err = answer.verdict()
	if err == nil && errors.Is(ctx.Err(), context.Canceled) { // then silence says nothing
		err = fmt.Errorf("delivery: ask %s: %w", ev.Type, context.Cause(ctx))
	}
	return answer, err
}

// questioning is a question that is being asked: an expansion without River job, and
// what came of each request.
type questioning struct {
	expansion

	Asked map[uuid.UUID]*transition // by subscription; none for those that got no request
}

// ask returns when every gate has answered or ctx has ended; nil where there is none.
func (e *Engine) ask(ctx context.Context, ev dialect.Event) (*questioning, error) {
	id := uuid.MustParse(ev.ID)
	matches, err := e.lookups.Do(ctx, hierarchy.Lookup{
		IntentID: id, Type: ev.Type, Site: hierarchy.Path(ev.Site), ActiveSite: hierarchy.Path(ev.ActiveSite),
		Channel: ev.Channel, Limit: e.cfg.ChunkSize + 1,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case len(matches) == 0:
		return nil, nil
	case len(matches) > e.cfg.ChunkSize:
		return nil, fmt.Errorf("more than %d subscriptions would have to be asked", e.cfg.ChunkSize)
	}
	asked := &questioning{expansion: expansion{Intent: &intent{ID: id, State: intentPending, Event: ev}}}
	asked.Next = matches[len(matches)-1].Subscription.ID
	stored, err := e.loadGates(ctx, asked.Intent, matches)
	if err != nil {
		return nil, err
	}
	_, asked.Keep = e.cfg.History.of(ev.Type, asked.Intent.Payloads)
	asked.Decisions, asked.Messages = e.decideGates(ctx, asked.Intent, matches)
	asked.Asked = e.askAll(ctx, asked.targets(stored), asked.Decisions)
	return asked, nil
}

// loadGates loads what requests to the gates need, while there is all the time.
func (e *Engine) loadGates(ctx context.Context, in *intent, matches []hierarchy.Match) (map[uuid.UUID]store.LoadGatesRow, error) {
	ids := make([]uuid.UUID, len(matches))
	for i, m := range matches {
		ids[i] = m.Subscription.ID
	}
	rows, err := e.frequent.LoadGates(ctx, &store.LoadGatesParams{
		Ids: store.UUIDs(ids), Type: strings.TrimPrefix(in.Event.Type, hierarchy.BeforePrefix),
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]store.LoadGatesRow, len(rows))
	for _, row := range rows {
		byID[row.ID], in.Payloads = row, Keep(row.TypePayloads)
	}
	return byID, nil
}

// decideGates is decide for those that are in force, without anything that is to be
// decided later. Host code has half the time: where it hangs for some gates, the
// others are asked.
func (e *Engine) decideGates(
	ctx context.Context, in *intent, matches []hierarchy.Match,
) (decisions []decision, messages map[string]dialect.Message) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	active := slices.DeleteFunc(slices.Clone(matches), func(m hierarchy.Match) bool {
		return m.Subscription.State != hierarchy.StateActive
	})
	decided, messages := e.decide(ctx, in, active, nil, nil)
	decisions = make([]decision, 0, len(matches))
	for _, m := range matches {
		switch m.Subscription.State {
		case hierarchy.StateActive:
			d := decided[0]
			decided = decided[1:]
			switch d.Outcome {
			case decisionFailed, decisionGone, decisionWaiting:
				d.Outcome = decisionUnanswered
			}
			decisions = append(decisions, d)
		case hierarchy.StateDeactivated:
			decisions = append(decisions, decision{Match: m, Outcome: decisionInactive, Reason: inactiveReason(m.Subscription)})
		default:
			reason := fmt.Sprintf("the subscription is %s", m.Subscription.State)
			decisions = append(decisions, decision{Match: m, Outcome: decisionInactive, Reason: reason})
		}
	}
	return decisions, messages
}

// targets are the requests that are to be made, by the place of their decision; nil
// where there is none.
func (q *questioning) targets(stored map[uuid.UUID]store.LoadGatesRow) []*target {
	targets := make([]*target, len(q.Decisions))
	for i := range q.Decisions {
		d := &q.Decisions[i]
		if d.Outcome != decisionDeliver {
			continue
		}
		row, ok := stored[d.Subscription.ID]
		if !ok {
			d.Outcome, d.Reason = decisionInactive, "the subscription was deleted"
			continue
		}
		d.DeliveryID = newID()
		t := &target{
			ID: d.DeliveryID, IntentID: q.Intent.ID, Event: q.Intent.Event, Message: q.Messages[d.Subscription.Dialect],
			Sub: attempted(d.Subscription), Stored: storedSecrets(row.Secrets), Dialect: d.Subscription.Dialect,
			Epoch: d.Subscription.Epoch, State: statePending, Round: 1, AccessAt: d.AccessAt,
			CircuitOpened: row.CircuitOpened, Gone: row.Gone, Failing: row.Failing,
		}
		if row.CircuitMs > 0 {
			t.CircuitUntil = time.Now().Add(time.Duration(row.CircuitMs) * time.Millisecond)
		}
		targets[i] = t
	}
	return targets
}

// askAll asks all gates at once. Where no request could be made it says so in the
// decision.
func (e *Engine) askAll(ctx context.Context, targets []*target, decisions []decision) map[uuid.UUID]*transition {
	made := make([]*transition, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		if t == nil {
			continue
		}
		wg.Go(func() {
			var reason string
			if made[i], reason = e.askOne(ctx, t); made[i] == nil {
				decisions[i].Outcome, decisions[i].Reason, decisions[i].DeliveryID = decisionUnanswered, reason, uuid.Nil
			}
		})
	}
	wg.Wait()
	asked := make(map[uuid.UUID]*transition, len(targets))
	for i, tr := range made {
		if tr != nil {
			asked[decisions[i].Subscription.ID] = tr
		}
	}
	return asked
}

// askOne makes the one request to a gate, or says why it made none.
func (e *Engine) askOne(ctx context.Context, t *target) (tr *transition, reason string) {
	const late = "the time to answer was over before it could be asked"
	if kept := t.subscriptionGate(time.Now()); kept != nil {
		return nil, kept.Reason
	}
	if kept := e.openFor(ctx, t); kept != nil {
		return nil, kept.Reason
	}
	if !e.endpoints.acquire(ctx, t.Sub.ID, t.Sub.MaxInFlight) {
		if ctx.Err() != nil {
			return nil, late
		}
		return nil, "the endpoint has as many requests in flight as it may have"
	}
	defer e.endpoints.leave(t.Sub.ID)
	select {
	case e.inFlight <- struct{}{}:
		defer func() { <-e.inFlight }()
	case <-ctx.Done():
		return nil, late
	}
	if kept := e.authFor(ctx, t); kept != nil {
		return nil, kept.Reason
	}
	if ctx.Err() != nil || !t.Opened {
		return nil, late
	}
	tr = t.answered(e.requestOnce(ctx, t))
	e.judgeEndpoint(tr)
	return tr, ""
}

// requestOnce builds, signs and sends a question. The end of the time to answer is a
// timeout; only who asked can interrupt it.
func (e *Engine) requestOnce(ctx context.Context, t *target) *attempt {
	d, _ := e.cfg.Dialects.Get(t.Dialect)
	a := &attempt{Number: 1, StartedAt: time.Now(), URL: publicURL(t.Sub.URL)}
	built, err := e.build(ctx, d, t, a)
	if err != nil {
		a.Outcome, a.Error = OutcomeFailed, "dialect: "+brief(err)
		return a
	}
	e.send(ctx, t, built, a)
	if a.Outcome == OutcomeInterrupted && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.Outcome, a.Error = OutcomeTimeout, classTimeout+": no answer in time"
	}
	return a
}

// answered ends the delivery of a question, whatever came of its one request. It is
// never exhausted: that many unanswered questions do not deactivate a subscription
// before its window of failures has passed.
func (t *target) answered(a *attempt) *transition {
	tr := t.keep()
	tr.Attempt, tr.Attempts, tr.State = a, 1, stateDelivered
	switch {
	case a.Outcome == OutcomeVetoed:
		tr.Reason = strings.TrimPrefix(a.Error, classVetoed+": ")
	case a.Outcome != OutcomeDelivered:
		tr.State, tr.Reason = stateCancelled, "a question is asked once"
	}
	return tr
}

// gates are what is told of the question.
func (q *questioning) gates() []Gate {
	gates := make([]Gate, len(q.Decisions))
	for i, d := range q.Decisions {
		sub := &d.Subscription
		gates[i] = Gate{SubscriptionID: sub.ID, Name: sub.Name, FailClosed: sub.FailClosed, DeliveryID: d.DeliveryID, Reason: d.Reason}
		g := &gates[i]
		tr := q.Asked[sub.ID]
		switch {
		case d.Outcome == decisionUnanswered:
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

func unansweredReason(a *attempt) string {
	if a.Error != "" {
		return a.Error
	}
	return fmt.Sprintf("it answered %d", a.Status)
}
