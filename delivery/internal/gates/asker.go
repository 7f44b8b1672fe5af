// Package gates asks gates: subscriptions that can veto what is about to be done. A
// question is expanded like an intent, but without River job: it is decided which gates
// are asked, each gets one request at the same time, and then all of it is recorded.
package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// questionShare is the share of the lookups of questions. No event has it.
const questionShare = "?"

// Asker asks questions. It is safe for concurrent use.
type Asker struct {
	ChunkSize int // the most gates of a question
	Decider   *decide.Decider
	Finder    *decide.Finder
	NewID     func() uuid.UUID // of a delivery
	Payloads  *payloads.Pool
	Queries   *store.Queries // with plans that are kept
	Recorder  *Recorder
	Sender    *send.Sender

	// Retention is what is kept of the payloads of a type of questions, which is registered
	// with a Retention.
	Retention func(eventType string, registered expand.Retention) expand.Retention
}

// Ask asks the gates of a question within a time, and records what came of it. It returns
// no gates if none matched: then nothing is recorded. unrecorded is why the history does
// not know of the question. Any error says that the verdict is unknown.
func (a *Asker) Ask(
	ctx context.Context, ev dialect.Event, timeout time.Duration,
) (gates []Gate, unrecorded, err error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := time.Now()
	version, err := a.Recorder.Resolver.TreeVersion(limited)
	if err != nil {
		return nil, nil, err
	}
	q := newQuestion(ev, version, begun)
	defer func() { q.held.Release() }()
	if err := a.askNew(limited, limited, q); err != nil || len(q.chunk.Decisions) == 0 {
		return nil, nil, err
	}
	if unrecorded, err = a.record(ctx, limited, q); err != nil {
		return nil, nil, err
	}
	return q.gates(), unrecorded, nil
}

// askNew finds the gates and asks those that were not asked yet, within the time of
// limited.
func (a *Asker) askNew(ctx, limited context.Context, q *question) error {
	readAt := time.Now()
	in := q.chunk.Intent
	found, err := a.Finder.Find(ctx, nil, questionShare, in.Lookup(uuid.Nil, a.ChunkSize+1))
	if err != nil {
		return err
	}
	q.chunk.Standing, in.Place = found.Standing, found.Place
	matches := slices.DeleteFunc(slices.Clone(found.Matches), func(m decide.Match) bool {
		return q.has(m.Subscription.ID)
	})
	switch {
	case len(matches) == 0:
		return nil
	case len(matches)+len(q.chunk.Decisions) > a.ChunkSize:
		return fmt.Errorf("more than %d subscriptions would have to be asked", a.ChunkSize)
	}
	stored, err := a.load(ctx, in, matches)
	if err != nil {
		return err
	}
	q.chunk.Keep = a.Retention(in.Event.Type, in.Keep)
	var decisions []decide.Decision
	if err := a.take(limited, q, matches); err != nil {
		decisions = unanswered(matches, err)
	} else {
		var messages map[string]dialect.Message
		decisions, messages = a.decide(limited, in, matches, q.chunk.Messages)
		maps.Copy(q.chunk.Messages, messages)
		q.held.Made(expand.UntilCommit(q.chunk.Messages))
	}
	added := &expand.Chunk{
		Intent:    in,
		ReadAt:    readAt,
		Decisions: decisions,
		Messages:  q.chunk.Messages,
	}
	maps.Copy(q.asked, a.askAll(limited, inputs(added, a.NewID, stored), decisions))
	q.chunk.Decisions = append(q.chunk.Decisions, decisions...)
	q.chunk.Next = q.chunk.Decisions[len(q.chunk.Decisions)-1].Subscription.ID
	return nil
}

// take takes the bytes of the messages that the gates are going to get, before any is made:
// what gates take that are found later is counted when it is made. The data are the
// application's.
func (a *Asker) take(ctx context.Context, q *question, matches []decide.Match) (err error) {
	if q.held != nil {
		return nil
	}
	ev := &q.chunk.Intent.Event
	want := payloads.Want{
		IntentID: q.chunk.Intent.ID,
		Share:    sitetree.FirstSegment(ev.Site),
		Urgent:   true,
	}
	for name := range decide.Dialects(matches, nil) {
		want.Make(name, a.Decider.Messages.Expect(ev, name, len(ev.Data)))
	}
	var ok bool
	if q.held, ok = a.Payloads.Try(want); !ok {
		q.held, err = a.Payloads.Wait(ctx, want)
	}
	return err
}

// unanswered decides about gates that nobody can be asked about: those that are in force do
// not answer.
func unanswered(matches []decide.Match, why error) []decide.Decision {
	decisions := make([]decide.Decision, len(matches))
	for i, m := range matches {
		decisions[i] = decide.Decision{
			Match:   m,
			Outcome: decide.OutcomeUnanswered,
			Reason:  why.Error(),
		}
		if m.Subscription.State != subscription.StateActive {
			decisions[i].Outcome, decisions[i].Reason = decide.OutcomeInactive, inactiveReason(&m.Subscription)
		}
	}
	return decisions
}

// load reads what requests to the gates need, while there is all the time.
func (a *Asker) load(
	ctx context.Context, in *expand.Intent, matches []decide.Match,
) (map[uuid.UUID]*store.LoadGatesRow, error) {
	ids := make([]uuid.UUID, len(matches))
	for i := range matches {
		ids[i] = matches[i].Subscription.ID
	}
	rows, err := a.Queries.LoadGates(ctx, &store.LoadGatesParams{
		Ids: store.UUIDs(ids), Type: strings.TrimPrefix(in.Event.Type, eventtype.BeforePrefix),
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*store.LoadGatesRow, len(rows))
	for i := range rows {
		row := &rows[i]
		byID[row.ID] = row
		in.Keep = expand.RegisteredRetention(row.TypePayloads, row.TypePayloadAgeMs)
	}
	return byID, nil
}

// decide decides about the gates that are in force; nothing is decided later. Host code
// has half the time: if it hangs for some gates, the others are asked.
func (a *Asker) decide(
	ctx context.Context, in *expand.Intent, matches []decide.Match, before map[string]dialect.Message,
) (decisions []decide.Decision, messages map[string]dialect.Message) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	active := slices.DeleteFunc(slices.Clone(matches), func(m decide.Match) bool {
		return m.Subscription.State != subscription.StateActive
	})
	decided, messages := a.Decider.Decide(ctx, nil, &decide.Input{
		Event:    in.Event,
		Place:    in.Place,
		Matches:  active,
		Messages: before,
	})
	decisions = make([]decide.Decision, 0, len(matches))
	for _, m := range matches {
		if m.Subscription.State != subscription.StateActive {
			decisions = append(decisions, decide.Decision{
				Match:   m,
				Outcome: decide.OutcomeInactive,
				Reason:  inactiveReason(&m.Subscription),
			})
			continue
		}
		d := decided[0]
		decided = decided[1:]
		switch d.Outcome {
		case decide.OutcomeFailed, decide.OutcomeFilterError, decide.OutcomeGone, decide.OutcomeWaiting:
			d.Outcome = decide.OutcomeUnanswered
		default:
		}
		decisions = append(decisions, d)
	}
	return decisions, messages
}

// inactiveReason is why a gate in another state than active is not asked.
func inactiveReason(sub *subscription.Subscription) string {
	if reason := decide.InactiveReason(sub.State, sub.StateReason); reason != "" {
		return reason
	}
	return fmt.Sprintf("the subscription is %s", sub.State)
}

// askAll asks all gates at once. If no request could be made, it says so in the decision.
func (a *Asker) askAll(
	ctx context.Context, inputs []*send.Input, decisions []decide.Decision,
) map[uuid.UUID]*attempt.Transition {
	made := make([]*attempt.Transition, len(inputs))
	var wg sync.WaitGroup
	for i, in := range inputs {
		if in == nil {
			continue
		}
		wg.Go(func() {
			tr, why := a.Sender.Ask(ctx, in)
			if made[i] = tr; tr != nil {
				return
			}
			d := &decisions[i]
			d.Outcome, d.Reason = decide.OutcomeUnanswered, why.Reason
			if why.Inactive {
				d.Outcome = decide.OutcomeInactive
			}
			d.DeliveryID = uuid.Nil
		})
	}
	wg.Wait()
	asked := make(map[uuid.UUID]*attempt.Transition, len(inputs))
	for i, tr := range made {
		if tr != nil {
			asked[decisions[i].Subscription.ID] = tr
		}
	}
	return asked
}

// record records a question. If the sites have changed since its gates were found, it first
// asks those that are there now; there may be no time left for them. Its second error says
// that the verdict is unknown.
func (a *Asker) record(ctx, limited context.Context, q *question) (unrecorded, unknown error) {
	for range expand.MaxTries {
		unrecorded = a.Recorder.write(ctx, q, true)
		if !errors.Is(unrecorded, errStale) {
			return a.Recorder.conclude(ctx, q, unrecorded), nil
		}
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		unknown = a.askNew(again, limited, q)
		cancel()
		if unknown != nil {
			break
		}
	}
	unrecorded = a.Recorder.conclude(ctx, q, a.Recorder.write(ctx, q, false))
	if unknown == nil {
		unknown = hierarchy.ErrTreeChanges
	}
	return unrecorded, unknown
}
