package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// Ask asks, before something is done, whether it may be: it puts a question to the
// gates, which are the subscriptions with a matching pattern behind "before:", at
// the sites that an event would be told at. The error is nil where it may be done:
// every gate has agreed, or none had to be asked.
//
// A gate agrees by any 2xx. It says no by one with the content type
// dialect.ContentTypeCancel or ContentTypeServoCancel and the body
// {"reason": "..."}: then the error is a [*VetoError] with each veto, once all gates
// have answered. Where none said no, but one with FailClosed could not be asked or
// did not answer well in time, it is an [*UnansweredError]. Gates without FailClosed
// keep nothing from being done but by a veto. The Answer says what became of each
// gate, also with these errors. Any other error says that nobody knows:
// [ErrInvalidQuestion], [ErrNotStarted] of an engine that was stopped, the end of
// ctx, or one of the database.
//
// Gates are asked once, all at the same time, through the egress policy, in their
// dialects and signed, as deliveries are. One deadline holds for their answers and
// for what leads to them: the look-up, access checks, externalizers, slots. Those
// whose owner may not see the resource, whose filter is false of the question or
// that are not active, are not asked and stop nothing. An endpoint whose circuit is open is not waited for.
//
// Ask takes no transaction, and is to be called before there is one: for as long as
// a stranger thinks, a transaction would hold its locks and its connection, and
// keep vacuum from cleaning up. Ask holds no connection while it waits. So by the
// time of the commit an answer can be old: it is about the moment of the question,
// and what must hold at the commit is to be checked in the transaction.
//
// When Ask returns, the history has the question as an intent of the type
// "before:...", and what came of it for each gate. It is recorded in one
// transaction, behind the answers, within 5 s more: a process that ends before
// leaves nothing. Where that fails the verdict holds, and Answer.Unrecorded says
// why. A question is never sent again.
//
// The engine need not be started, so that a process which only enqueues can ask.
// Config.MaxInFlight counts questions as well.
func (e *Engine) Ask(ctx context.Context, q Question) (*Answer, error) {
	ev, err := q.event(e.ids.next(), e.cfg.MaxRequestBytes)
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
	unrecorded, err := e.settleQuestion(ctx, limited, asked)
	if err != nil {
		return nil, fmt.Errorf("delivery: ask %s: %w", ev.Type, err)
	}
	answer := &Answer{
		ID:         ev.ID,
		Gates:      asked.gates(),
		Unrecorded: unrecorded,
	}
	err = answer.verdict()
	if err == nil && errors.Is(ctx.Err(), context.Canceled) { // then silence says nothing
		err = fmt.Errorf("delivery: ask %s: %w", ev.Type, context.Cause(ctx))
	}
	if err == nil && e.ended.Load() && answer.misses() { // nor does it then
		err = fmt.Errorf("delivery: ask %s: %w", ev.Type, ErrNotStarted)
	}
	return answer, err
}

// ask returns when every gate has answered or ctx has ended; nil where there is none.
func (e *Engine) ask(ctx context.Context, ev dialect.Event) (*questioning, error) {
	begun := time.Now()
	version, err := e.resolver.TreeVersion(ctx)
	if err != nil {
		return nil, err
	}
	asked := &questioning{
		Begun: begun,
		expansion: expansion{
			Intent: &intent{
				ID:          uuid.MustParse(ev.ID),
				State:       intentPending,
				Event:       ev,
				TreeVersion: version,
			},
			Messages: map[string]dialect.Message{},
			ReadAt:   begun,
		},
		Asked: map[uuid.UUID]*attempt.Transition{},
	}
	if err := e.askThere(ctx, ctx, asked); err != nil || len(asked.Decisions) == 0 {
		return nil, err
	}
	return asked, nil
}

// askThere finds the gates and asks those that were not asked yet, within the time of
// limited.
func (e *Engine) askThere(ctx, limited context.Context, asked *questioning) error {
	readAt := time.Now()
	found, err := e.finder.Find(ctx, nil, asked.Intent.lookup(uuid.Nil, e.cfg.ChunkSize+1))
	if errors.Is(err, batch.ErrClosed) {
		return ErrNotStarted
	} else if err != nil {
		return err
	}
	asked.Standing, asked.Intent.Place = found.Standing, found.Place
	matches := slices.DeleteFunc(slices.Clone(found.Matches), func(m subscription.Match) bool {
		return slices.ContainsFunc(asked.Decisions, func(d decide.Decision) bool { return d.Subscription.ID == m.Subscription.ID })
	})
	switch {
	case len(matches) == 0:
		return nil
	case len(matches)+len(asked.Decisions) > e.cfg.ChunkSize:
		return fmt.Errorf("more than %d subscriptions would have to be asked", e.cfg.ChunkSize)
	}
	stored, err := e.loadGates(ctx, asked.Intent, matches)
	if err != nil {
		return err
	}
	_, asked.Keep = e.cfg.History.of(asked.Intent.Event.Type, asked.Intent.Keep)
	decisions, messages := e.decideGates(limited, asked.Intent, matches, asked.Messages)
	maps.Copy(asked.Messages, messages)
	round := &questioning{expansion: expansion{
		Intent:    asked.Intent,
		ReadAt:    readAt,
		Decisions: decisions,
		Messages:  asked.Messages,
	}}
	maps.Copy(asked.Asked, e.askAll(limited, round.targets(&e.ids, stored), round.Decisions))
	asked.Decisions = append(asked.Decisions, round.Decisions...)
	asked.Next = asked.Decisions[len(asked.Decisions)-1].Subscription.ID
	return nil
}

// settleQuestion records a question. If the sites have changed since its gates were
// found, it first asks those that are there now; there may be no time left for them.
// Its second error says that nobody knows.
func (e *Engine) settleQuestion(ctx, limited context.Context, asked *questioning) (unrecorded, unknown error) {
	for range maxExpansions {
		unrecorded = e.writeQuestion(ctx, asked, true)
		if !errors.Is(unrecorded, errStaleQuestion) {
			return e.concludeQuestion(ctx, asked, unrecorded), nil
		}
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordQuestionTimeout)
		unknown = e.askThere(again, limited, asked)
		cancel()
		if unknown != nil {
			break
		}
	}
	unrecorded = e.concludeQuestion(ctx, asked, e.writeQuestion(ctx, asked, false))
	if unknown == nil {
		unknown = hierarchy.ErrTreeChanges
	}
	return unrecorded, unknown
}

// loadGates loads what requests to the gates need, while there is all the time.
func (e *Engine) loadGates(ctx context.Context, in *intent, matches []subscription.Match) (map[uuid.UUID]store.LoadGatesRow, error) {
	ids := make([]uuid.UUID, len(matches))
	for i, m := range matches {
		ids[i] = m.Subscription.ID
	}
	rows, err := e.frequent.LoadGates(ctx, &store.LoadGatesParams{
		Ids: store.UUIDs(ids), Type: strings.TrimPrefix(in.Event.Type, event.BeforePrefix),
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]store.LoadGatesRow, len(rows))
	for _, row := range rows {
		byID[row.ID], in.Keep = row, registeredRule(row.TypePayloads, row.TypePayloadAgeMs)
	}
	return byID, nil
}

// decideGates is decide for those that are in force, without anything that is to be
// decided later. Host code has half the time: where it hangs for some gates, the
// others are asked.
func (e *Engine) decideGates(
	ctx context.Context, in *intent, matches []subscription.Match, before map[string]dialect.Message,
) (decisions []decide.Decision, messages map[string]dialect.Message) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	active := slices.DeleteFunc(slices.Clone(matches), func(m subscription.Match) bool {
		return m.Subscription.State != subscription.StateActive
	})
	decided, messages := e.decider.Decide(ctx, nil, &decide.Input{
		Event:    in.Event,
		Place:    in.Place,
		Matches:  active,
		Messages: before,
	})
	decisions = make([]decide.Decision, 0, len(matches))
	for _, m := range matches {
		switch m.Subscription.State {
		case subscription.StateActive:
			d := decided[0]
			decided = decided[1:]
			switch d.Outcome {
			case decide.OutcomeFailed, decide.OutcomeFilterError, decide.OutcomeGone, decide.OutcomeWaiting:
				d.Outcome = decide.OutcomeUnanswered
			}
			decisions = append(decisions, d)
		case subscription.StateDeactivated, subscription.StatePendingVerification:
			decisions = append(decisions, decide.Decision{
				Match:   m,
				Outcome: decide.OutcomeInactive,
				Reason:  decide.InactiveReason(m.Subscription.State, m.Subscription.StateReason),
			})
		default:
			reason := fmt.Sprintf("the subscription is %s", m.Subscription.State)
			decisions = append(decisions, decide.Decision{
				Match:   m,
				Outcome: decide.OutcomeInactive,
				Reason:  reason,
			})
		}
	}
	return decisions, messages
}
