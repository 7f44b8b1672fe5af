package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// maxRedecideWait bounds the wait between two tries of a decision.
const maxRedecideWait = 5 * time.Minute

// redecide tries again the decisions of an intent that wait for one job, ChunkSize at
// a time, and makes the first attempts of the deliveries that come of them. Each is
// tried once; those that still wait have their next try in another job.
func (e *Engine) redecide(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID) error {
	in, err := e.intents.Do(ctx, intentID)
	if err != nil {
		return callbacks.Stall("load the intent", err)
	}
	if in == nil {
		return nil
	}
	in = e.holding(in)
	defer in.Payloads.Release()
	f := e.sender.FanOut(by)
	return f.Wait(e.redecideAll(ctx, by, in, f))
}

// redecideAll begins the attempts of a step before it takes the next one: slow endpoints
// do not delay what is decided after them.
func (e *Engine) redecideAll(ctx context.Context, by callbacks.JobRef, in *intent, f *send.FanOut) error {
	for first := true; ; first = false {
		step, err := e.redecideStep(ctx, by, in)
		if err != nil {
			return err
		}
		more := step.Tried == e.cfg.ChunkSize
		if more && (!step.GivenUp.Empty() || f.Late()) {
			more = false
			if err := e.scheduleDecide(ctx, by, in, nil, 0, step.GivenUp); err != nil {
				return err
			}
		}
		var left []uuid.UUID // by an earlier run of the job
		if first {
			if left, err = e.loader.Left(ctx, by, in.ID, step.Targets); err != nil {
				return err
			}
		}
		f.Begin(ctx, step.Targets, left)
		if !more {
			return nil
		}
	}
}

// redecided is what came of one step.
type redecided struct {
	GivenUp callbacks.EndedRuns // what is not to be tried again, by the decisions that had no turn either
	Targets []*target
	Tried   int
}

// redecideStep tries the decisions again that have waited longest for a job.
func (e *Engine) redecideStep(ctx context.Context, by callbacks.JobRef, in *intent) (step redecided, err error) {
	waiting, err := e.store.LoadWaiting(ctx, &store.LoadWaitingParams{
		IntentID: in.ID,
		JobID:    by.JobID,
		Max:      e.cfg.ChunkSize,
	})
	if err != nil {
		return step, callbacks.Stall("load the decisions that wait", err)
	}
	if len(waiting) == 0 {
		return step, nil
	}
	ended, err := endedRunsOf(waiting)
	if err != nil {
		return step, err
	}
	step.GivenUp, step.Tried = ended.GivenUp(), len(waiting)
	host := e.decisionCaller(by, in, ended, waiting[0].SubscriptionID)
	if step.Targets, err = e.settle(ctx, by, host, in, waiting); err != nil {
		return step, err
	}
	tried := make([]uuid.UUID, len(waiting))
	for i, w := range waiting {
		tried[i] = w.SubscriptionID
	}
	return step, e.scheduleDecide(ctx, by, in, tried, e.redecideWait(waiting), step.GivenUp)
}

// scheduleDecide hands on the decisions for some subscriptions that a job has left
// waiting, or all of them.
func (e *Engine) scheduleDecide(
	ctx context.Context, by callbacks.JobRef, in *intent, subscriptions []uuid.UUID, wait time.Duration, ended callbacks.EndedRuns,
) error {
	err := e.store.ScheduleDecide(ctx, &store.ScheduleDecideParams{
		IntentID:      in.ID,
		JobID:         by.JobID,
		Subscriptions: store.UUIDs(subscriptions),
		WaitMs:        wait.Milliseconds(),
		EndedRuns:     ended.Text(),
	})
	if err != nil {
		return callbacks.Stall("schedule the next try", err)
	}
	return nil
}

// redecideWait grows with the age of the youngest decision, so that trouble of
// a moment costs a moment.
func (e *Engine) redecideWait(waiting []store.LoadWaitingRow) time.Duration {
	age := time.Duration(waiting[0].AgeMs) * time.Millisecond
	for _, w := range waiting {
		age = min(age, time.Duration(w.AgeMs)*time.Millisecond)
	}
	return e.clock.TroubleWait(min(max(e.cfg.RedecideAfter, age/2), maxRedecideWait))
}

// endedRunsOf is what is written down of the runs for decisions that wait together.
func endedRunsOf(waiting []store.LoadWaitingRow) (all callbacks.EndedRuns, err error) {
	for _, w := range waiting {
		one, err := callbacks.ParseEndedRuns(w.EndedRuns)
		if err != nil {
			return all, fmt.Errorf("delivery: a decision of subscription %s: %w", w.SubscriptionID, err)
		}
		all = all.Merge(one)
	}
	return all, nil
}

func (e *Engine) settle(
	ctx context.Context, by callbacks.JobRef, host *callbacks.Caller, in *intent, waiting []store.LoadWaitingRow,
) ([]*target, error) {
	readAt := time.Now()
	matches, tries, err := e.loadMatches(ctx, waiting)
	if err != nil {
		return nil, err
	}
	messages, err := e.loadMessages(ctx, in)
	if err != nil {
		return nil, err
	}
	ex := &expansion{
		Intent: in,
		ReadAt: readAt,
		JobID:  by.JobID,
	}
	var lost error
	in.Place, lost = e.finder.Locate(ctx, host, in.lookup(uuid.Nil, 0))
	if stalled := host.Stalled(); stalled != nil {
		return nil, stalled
	}
	if lost != nil {
		ex.Decisions = decide.WithoutPlace(lost, matches, tries)
	} else {
		ex.Decisions, ex.Messages = e.decider.Decide(ctx, host, &decide.Input{
			Event:    in.Event,
			Place:    in.Place,
			Matches:  matches,
			Tries:    tries,
			Messages: messages,
		})
	}
	if stalled := host.Stalled(); stalled != nil {
		return nil, stalled
	}
	for i := range ex.Decisions {
		d := &ex.Decisions[i]
		switch {
		case d.Subscription.DeletedAt != nil:
			d.Outcome, d.Reason = decide.OutcomeInactive, "the subscription was deleted"
		case d.Outcome == decide.OutcomeDeliver:
			d.DeliveryID = e.ids.next()
		}
	}
	e.logTrouble(ctx, ex)
	made, err := e.commitRedecisions(ctx, ex)
	if err != nil {
		return nil, callbacks.Stall("commit the decisions", err)
	}
	if messages, err = e.storedMessages(ctx, ex, messages); err != nil {
		return nil, err
	}
	return ex.targets(made, messages), nil
}

func (e *Engine) loadMatches(ctx context.Context, waiting []store.LoadWaitingRow) ([]subscription.Match, map[uuid.UUID]int, error) {
	ids := make([]uuid.UUID, len(waiting))
	byID := make(map[uuid.UUID]store.LoadWaitingRow, len(waiting))
	tries := make(map[uuid.UUID]int, len(waiting))
	for i, w := range waiting {
		ids[i] = w.SubscriptionID
		byID[w.SubscriptionID] = w
		tries[w.SubscriptionID] = w.Tries
	}
	subs, err := e.subs.GetMany(ctx, ids)
	if err != nil {
		return nil, nil, callbacks.Stall("load subscriptions", err)
	}
	matches := make([]subscription.Match, len(subs))
	for i, sub := range subs {
		w := byID[sub.ID]
		matches[i] = subscription.Match{
			Subscription: sub,
			Site:         hierarchy.Path(w.MatchedSite),
			Pattern:      w.MatchedPattern,
		}
	}
	return matches, tries, nil
}

func (e *Engine) commitRedecisions(ctx context.Context, ex *expansion) ([]store.CommitExpansionsRow, error) {
	p := &store.CommitExpansionsParams{}
	if err := addExpansion(p, ex); err != nil {
		return nil, err
	}
	health := record.Health{}
	addUnresolvable(health, ex.Decisions)
	var out []store.CommitExpansionsRow
	err := e.inTx(ctx, true, func(q *store.Queries) error {
		rows, err := q.CommitRedecisions(ctx, &store.CommitRedecisionsParams{
			IntentID:              ex.Intent.ID,
			JobID:                 ex.JobID,
			DecisionSubscriptions: p.DecisionSubscriptions,
			DecisionOutcomes:      p.DecisionOutcomes,
			DecisionReasons:       p.DecisionReasons,
			DecisionTries:         p.DecisionTries,
			MessageDialects:       p.MessageDialects,
			MessageTypes:          p.MessageTypes,
			MessageHeaders:        p.MessageHeaders,
			MessageBodies:         p.MessageBodies,
			DeliveryIds:           p.DeliveryIds,
			DeliverySubscriptions: p.DeliverySubscriptions,
			DeliveryDialects:      p.DeliveryDialects,
			DeliverySites:         p.DeliverySites,
			DeliveryPatterns:      p.DeliveryPatterns,
			DeliveryEpochs:        p.DeliveryEpochs,
			DeliveryAccessMs:      p.DeliveryAccessMs,
			DeliveryHolds:         p.DeliveryHolds,
		})
		if err != nil {
			return fmt.Errorf("delivery: commit decisions: %w", err)
		}
		for _, row := range rows {
			out = append(out, store.CommitExpansionsRow{
				ID:            row.ID,
				Secrets:       row.Secrets,
				CircuitOpened: row.CircuitOpened,
				Gone:          row.Gone,
				Failing:       row.Failing,
			})
		}
		_, err = health.Write(ctx, q)
		return err
	})
	return out, err
}

// failIntent gives an expansion up, visibly.
func (e *Engine) failIntent(ctx context.Context, by callbacks.JobRef, id uuid.UUID, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := e.store.FailIntent(ctx, &store.FailIntentParams{
		IntentID: id,
		JobID:    by.JobID,
		Reason:   callbacks.Brief(cause),
	}); err != nil {
		return fmt.Errorf("delivery: fail intent %s: %w", id, err)
	}
	return nil
}

// decisionCaller is how a run calls host code for decisions that waited. What is recorded
// of it is stored with the first of them.
func (e *Engine) decisionCaller(by callbacks.JobRef, in *intent, ended callbacks.EndedRuns, first uuid.UUID) *callbacks.Caller {
	return e.calls.Caller(by, first, ended, func(ctx context.Context, text string) (int64, error) {
		return e.store.MarkDecision(ctx, &store.MarkDecisionParams{
			IntentID:       in.ID,
			SubscriptionID: first,
			JobID:          by.JobID,
			EndedRuns:      text,
		})
	})
}
