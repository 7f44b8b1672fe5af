package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// maxExpansions is how often a chunk is found and decided anew because its sites have
// changed before it was committed.
const maxExpansions = 10

// expandAfter expands the chunk of an intent behind the subscription after, and
// makes the first attempts of the deliveries that come of it. A re-run goes on
// with what its predecessor left.
func (e *Engine) expandAfter(ctx context.Context, by callbacks.JobRef, intentID, after uuid.UUID) error {
	in, err := e.intents.Do(ctx, intentID)
	if err != nil {
		return callbacks.Stall("load the intent", err)
	}
	if in == nil {
		e.log.WarnContext(ctx, "riverhook: intent is gone", "intent", intentID)
		return nil
	}
	in = e.holding(in)
	defer in.Payloads.Release()
	var (
		expands = in.State == intentPending && in.After == after
		fresh   []*target
	)
	if expands {
		if fresh, err = e.expandChunk(ctx, by, in); err != nil {
			return err
		}
	}
	return e.attemptCarried(ctx, by, intentID, fresh, expands)
}

// holding is the intent with the payloads that jobs of it share, which it holds.
func (e *Engine) holding(in *intent) *intent {
	held := *in
	held.Payloads = e.payloads.Hold(in.ID)
	held.Event.Data = held.Payloads.Share(payloads.Data, in.Event.Data)
	return &held
}

// attemptCarried attempts the deliveries that this run has made, and those that
// an earlier run of the job made and did not come to record. first says that
// there can be none of an earlier run, unless River says that there was one; a
// run that a shutdown cut off is not counted by River.
//
// Only for the deliveries of an earlier run a request may have gone out.
func (e *Engine) attemptCarried(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID, fresh []*target, first bool) error {
	var (
		left []uuid.UUID
		err  error
	)
	if by.Rerun || !first {
		if left, err = e.loader.Left(ctx, by, intentID, fresh); err != nil {
			return err
		}
	}
	return e.sender.All(ctx, by, fresh, left)
}

func (e *Engine) expandChunk(ctx context.Context, by callbacks.JobRef, in *intent) ([]*target, error) {
	host := e.expansionCaller(by, in)
	messages := map[string]dialect.Message{}
	if in.After != uuid.Nil {
		var err error
		if messages, err = e.loadMessages(ctx, in); err != nil {
			return nil, err
		}
	}
	fresh := map[string]dialect.Message{} // not stored yet
	for range maxExpansions {
		ex, err := e.findChunk(ctx, host, by, in)
		if err != nil {
			return nil, err
		}
		in.Place = ex.Place
		known := maps.Clone(messages)
		maps.Copy(known, fresh)
		decisions, made := e.decider.Decide(ctx, host, &decide.Input{
			Event:    in.Event,
			Place:    in.Place,
			Matches:  ex.matches,
			Messages: known,
		})
		if stalled := host.Stalled(); stalled != nil {
			return nil, stalled
		}
		maps.Copy(fresh, made)
		ex.Decisions, ex.Messages = decisions, fresh
		for i := range ex.Decisions {
			if ex.Decisions[i].Outcome == decide.OutcomeDeliver {
				ex.Decisions[i].DeliveryID = e.ids.next()
			}
		}
		e.logTrouble(ctx, ex)
		stale, err := e.finder.Stale(ctx, host, ex.Standing)
		if stalled := host.Stalled(); stalled != nil {
			return nil, stalled
		}
		if err != nil {
			return nil, fmt.Errorf("delivery: resolve anew: %w", err)
		}
		if stale {
			continue
		}
		done, err := e.expansions.Do(ctx, ex)
		if err != nil {
			return nil, callbacks.Stall("commit the expansion", err)
		}
		if done.Stale {
			continue
		}
		e.at(pointExpanded)
		if messages, err = e.storedMessages(ctx, ex, messages); err != nil {
			return nil, err
		}
		return ex.targets(done.Made, messages), nil
	}
	return nil, callbacks.Stall("commit the expansion", hierarchy.ErrTreeChanges)
}

// findChunk looks up the next chunk of an intent. If the sites are others than those
// by which the chunks before it were found, it begins anew, without the subscriptions
// for which something is recorded: who is above the resource now can have an id that
// was passed.
func (e *Engine) findChunk(ctx context.Context, host *callbacks.Caller, by callbacks.JobRef, in *intent) (*expansion, error) {
	readAt := time.Now()
	lookup := in.lookup(in.After, e.cfg.ChunkSize+1)
	lookup.Unrecorded = in.After != uuid.Nil
	found, err := e.finder.Find(ctx, host, lookup)
	if err == nil && in.After != uuid.Nil && found.Standing.Chain != in.Chain {
		lookup.After = uuid.Nil
		found, err = e.finder.Find(ctx, host, lookup)
	}
	if stalled := host.Stalled(); stalled != nil {
		return nil, stalled
	}
	switch {
	case errors.Is(err, hierarchy.ErrTreeChanges):
		return nil, callbacks.Stall("resolve intent "+in.Event.ID, err)
	case err != nil:
		return nil, fmt.Errorf("delivery: resolve intent %s: %w", in.Event.ID, err)
	}
	_, keep := e.cfg.History.of(in.Event.Type, in.Keep)
	ex := &expansion{
		Intent:   in,
		Place:    found.Place,
		Standing: found.Standing,
		matches:  found.Matches,
		ReadAt:   readAt,
		Next:     in.After,
		Keep:     keep,
		JobID:    by.JobID,
		Wait:     e.cfg.RedecideAfter,
	}
	if len(ex.matches) > e.cfg.ChunkSize {
		ex.matches, ex.More = ex.matches[:e.cfg.ChunkSize], true
		ex.Ended = host.Ended().GivenUp()
	}
	if len(ex.matches) > 0 {
		ex.Next = ex.matches[len(ex.matches)-1].Subscription.ID
	}
	return ex, nil
}

func (e *Engine) loadMessages(ctx context.Context, in *intent) (map[string]dialect.Message, error) {
	here := in.Payloads.Messages()
	rows, err := e.store.LoadMessages(ctx, &store.LoadMessagesParams{
		IntentID: in.ID, Here: slices.AppendSeq([]string{}, maps.Keys(here)),
	})
	if err != nil {
		return nil, callbacks.Stall("load the messages", err)
	}
	messages := map[string]dialect.Message{}
	for _, row := range rows {
		body, ok := here[row.Dialect]
		if !ok {
			body = in.Payloads.Share(row.Dialect, row.Body)
		}
		msg := dialect.Message{
			ID:          in.Event.ID,
			Type:        in.Event.Type,
			ContentType: row.ContentType,
			Body:        body,
			OccurredAt:  in.Event.OccurredAt,
		}
		if err := json.Unmarshal(row.Headers, &msg.Headers); err != nil {
			return nil, fmt.Errorf("delivery: headers of the message of %s: %w", in.Event.ID, err)
		}
		messages[row.Dialect] = msg
	}
	return messages, nil
}

// storedMessages adds the messages that a commit has brought to those of before.
// A chunk behind the first and a decision that was made later can meet at the
// same dialect; then both send what was stored first.
func (e *Engine) storedMessages(
	ctx context.Context, ex *expansion, before map[string]dialect.Message,
) (map[string]dialect.Message, error) {
	if len(ex.Messages) == 0 {
		return before, nil
	}
	if ex.Intent.State == intentPending && ex.Intent.After == uuid.Nil {
		return ex.Messages, nil
	}
	return e.loadMessages(ctx, ex.Intent)
}

// expansion is one chunk, decided and not yet committed.
type expansion struct {
	Intent    *intent
	Place     hierarchy.Place
	Standing  hierarchy.Standing // by which its matches were found
	matches   []subscription.Match
	ReadAt    time.Time           // when reading its subscriptions began
	Next      uuid.UUID           // the last subscription of the chunk
	Ended     callbacks.EndedRuns // of the next chunk
	More      bool                // there are subscriptions behind it
	Keep      payloadRule
	JobID     int64
	Wait      time.Duration // before decisions that wait are tried again
	Decisions []decide.Decision
	Messages  map[string]dialect.Message
}

// carries is true where first attempts can be left to jobs of the intent: of
// this chunk, or of one before it.
func (ex *expansion) carries() bool {
	return ex.Intent.After != uuid.Nil || slices.ContainsFunc(ex.Decisions, func(d decide.Decision) bool {
		return d.Outcome == decide.OutcomeDeliver && d.Hold == ""
	})
}

// targets pairs what was decided with the rows that were made of it. The held
// ones have no attempt yet.
func (ex *expansion) targets(made []store.CommitExpansionsRow, messages map[string]dialect.Message) []*target {
	if len(made) == 0 {
		return nil
	}
	for name, msg := range messages { // they are stored by now
		msg.Body = ex.Intent.Payloads.Share(name, msg.Body)
		messages[name] = msg
	}
	byID := make(map[uuid.UUID]store.CommitExpansionsRow, len(made))
	for _, row := range made {
		byID[row.ID] = row
	}
	targets := make([]*target, 0, len(made))
	for _, d := range ex.Decisions {
		row, ok := byID[d.DeliveryID]
		if !ok || d.Outcome != decide.OutcomeDeliver || d.Hold != "" {
			continue
		}
		t := firstAttempt(ex, &d, row.Secrets)
		t.Message = messages[d.Subscription.Dialect]
		t.Endpoint = attempt.Endpoint{
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Gone:          row.Gone,
			Failing:       row.Failing,
		}
		t.Payloads = ex.Intent.Payloads
		targets = append(targets, t)
	}
	return targets
}

// expansionCaller is how a run calls host code for an expansion.
func (e *Engine) expansionCaller(by callbacks.JobRef, in *intent) *callbacks.Caller {
	return e.calls.Caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkExpansion(ctx, &store.MarkExpansionParams{
			IntentID:  in.ID,
			After:     in.After,
			EndedRuns: text,
		})
	})
}

// logTrouble says why decisions wait or have failed, once for each reason.
func (e *Engine) logTrouble(ctx context.Context, ex *expansion) {
	waiting := map[string]int{}
	failed := map[string]int{}
	unfiltered := map[string]int{}
	for _, d := range ex.Decisions {
		switch d.Outcome {
		case decide.OutcomeWaiting:
			waiting[d.Reason]++
		case decide.OutcomeFailed:
			failed[d.Reason]++
		case decide.OutcomeFilterError:
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
