package expand

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// maxReevaluateWait bounds the wait between two tries of a decision.
const maxReevaluateWait = 5 * time.Minute

// Reevaluator makes decisions again that have waited for a time, or for a cause that may be
// over. It is safe for concurrent use.
type Reevaluator struct {
	*Steps

	Subscriptions *subscription.Store

	// Wait is how long the wait for something that is missing becomes.
	Wait func(time.Duration) time.Duration
}

// Reevaluate makes the decisions of an intent again that wait for one job, ChunkSize at a
// time, and makes the first attempts of the deliveries that come of them. Each is tried
// once; those that wait for a cause are held without a job, and the others that still wait
// are tried next in another job.
func (r *Reevaluator) Reevaluate(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID) error {
	in, err := r.open(ctx, by, intentID)
	if err != nil || in == nil {
		return err
	}
	defer in.Payloads.Release()
	f := r.Sender.FanOut(by, in.Payloads)
	if err := r.Intents.loadData(ctx, in); err != nil {
		return err
	}
	return f.Wait(r.all(ctx, by, in, f))
}

// open reads an intent when it is the turn of its share.
func (r *Reevaluator) open(ctx context.Context, by callbacks.JobRef, id uuid.UUID) (*Intent, error) {
	if err := r.Intents.Turns.Enter(ctx, by.Share); err != nil {
		return nil, err
	}
	defer r.Intents.Turns.Leave(by.Share)
	return r.Intents.open(ctx, by, id, r.expect)
}

// expect takes as much as the largest message that the intent can still get. Which dialects
// the decisions of a job need is not known before they are read, and what those after the
// first one take is counted when it is made.
func (r *Reevaluator) expect(in *Intent, want *payloads.Want) error {
	all := map[string]payloads.Expectation{}
	for _, name := range r.Decider.Messages.Dialects.Names() {
		all[name] = r.Decider.Messages.Expect(&in.Event, name, in.DataBytes())
	}
	want.MakeLargest(all)
	return nil
}

// all begins the attempts of a step before it takes the next one: slow endpoints do not
// delay what is decided after them.
func (r *Reevaluator) all(ctx context.Context, by callbacks.JobRef, in *Intent, f *send.FanOut) error {
	for first := true; ; first = false {
		done, err := r.step(ctx, by, in)
		if err != nil {
			return err
		}
		more := done.tried == r.Limits.ChunkSize
		if more && (!done.givenUp.Empty() || f.Late()) {
			more = false
			if err := r.schedule(ctx, by, in, nil, 0, done.givenUp); err != nil {
				return err
			}
		}
		var left []uuid.UUID // by an earlier run of the job
		if first {
			if left, err = r.Sender.Loader.Left(ctx, by, in.ID, done.inputs); err != nil {
				return err
			}
		}
		f.Begin(ctx, done.inputs, left)
		if !more {
			return nil
		}
	}
}

// stepped is what came of one step.
type stepped struct {
	givenUp callbacks.EndedRuns // the steps of host code that the decisions without a turn do not try again either
	inputs  []*send.Input
	tried   int
}

// step makes the decisions again that have waited longest for a job, when it is the turn of its
// share.
func (r *Reevaluator) step(ctx context.Context, by callbacks.JobRef, in *Intent) (done stepped, err error) {
	if err := r.Intents.Turns.Enter(ctx, by.Share); err != nil {
		return done, err
	}
	defer r.Intents.Turns.Leave(by.Share)
	waiting, err := r.Intents.Store.LoadWaiting(ctx, &store.LoadWaitingParams{
		IntentID: in.ID,
		JobID:    by.JobID,
		Max:      r.Limits.ChunkSize,
	})
	if err != nil {
		return done, callbacks.Stall("load the decisions that wait", err)
	}
	if len(waiting) == 0 {
		return done, nil
	}
	ended, err := endedRuns(waiting)
	if err != nil {
		return done, err
	}
	done.givenUp, done.tried = ended.GivenUp(), len(waiting)
	host := r.caller(by, in, ended, waiting[0].SubscriptionID)
	decided, inputs, err := r.decideAgain(ctx, by, host, in, waiting)
	if err != nil {
		return done, err
	}
	done.inputs = inputs
	var atOnce, later []uuid.UUID
	for i := range decided {
		if decided[i].AtOnce {
			atOnce = append(atOnce, decided[i].Subscription.ID)
		}
	}
	for i := range waiting {
		if id := waiting[i].SubscriptionID; !slices.Contains(atOnce, id) {
			later = append(later, id)
		}
	}
	if len(atOnce) > 0 {
		if err := r.schedule(ctx, by, in, atOnce, 0, done.givenUp); err != nil {
			return done, err
		}
	}
	if len(later) == 0 {
		return done, nil
	}
	return done, r.schedule(ctx, by, in, later, r.nextWait(waiting), done.givenUp)
}

// caller is how a run calls host code for decisions that have waited. What is
// recorded of it is stored with the first of them.
func (r *Reevaluator) caller(
	by callbacks.JobRef, in *Intent, ended callbacks.EndedRuns, first uuid.UUID,
) *callbacks.Caller {
	return r.Intents.Calls.Caller(by, first, ended, func(ctx context.Context, text string) (int64, error) {
		return r.Intents.Store.MarkDecision(ctx, &store.MarkDecisionParams{
			IntentID:       in.ID,
			SubscriptionID: first,
			JobID:          by.JobID,
			EndedRuns:      text,
		})
	})
}

// schedule hands on the decisions for some subscriptions that a job has left waiting, or
// all of them.
func (r *Reevaluator) schedule(
	ctx context.Context, by callbacks.JobRef, in *Intent, subscriptions []uuid.UUID, wait time.Duration, ended callbacks.EndedRuns,
) error {
	err := r.Intents.Store.ScheduleDecide(ctx, &store.ScheduleDecideParams{
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

// nextWait grows with the age of the youngest decision: a short outage costs a short wait.
func (r *Reevaluator) nextWait(waiting []store.LoadWaitingRow) time.Duration {
	age := time.Duration(waiting[0].AgeMs) * time.Millisecond
	for i := range waiting {
		age = min(age, time.Duration(waiting[i].AgeMs)*time.Millisecond)
	}
	return r.Wait(min(max(r.Limits.ReevaluateAfter, age/2), maxReevaluateWait))
}

// endedRuns is what is recorded of the runs for decisions that wait together.
func endedRuns(waiting []store.LoadWaitingRow) (all callbacks.EndedRuns, err error) {
	for i := range waiting {
		one, err := callbacks.ParseEndedRuns(waiting[i].EndedRuns)
		if err != nil {
			return all, fmt.Errorf("delivery: a decision of subscription %s: %w", waiting[i].SubscriptionID, err)
		}
		all = all.Merge(one)
	}
	return all, nil
}

// decideAgain decides, commits, and returns what it has decided and the attempts to make.
func (r *Reevaluator) decideAgain(
	ctx context.Context, by callbacks.JobRef, host *callbacks.Caller, in *Intent, waiting []store.LoadWaitingRow,
) ([]decide.Decision, []*send.Input, error) {
	readAt := time.Now()
	matches, tries, err := r.loadMatches(ctx, waiting)
	if err != nil {
		return nil, nil, err
	}
	messages, err := r.Intents.messages(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	c := &Chunk{
		Intent: in,
		ReadAt: readAt,
		JobID:  by.JobID,
	}
	var unknown error
	in.Place, unknown = r.Finder.Locate(ctx, host, in.Lookup(uuid.Nil, 0))
	if stalled := host.Stalled(); stalled != nil {
		return nil, nil, stalled
	}
	if unknown != nil {
		c.Decisions = decide.WithoutPlace(unknown, matches, tries)
	} else {
		c.Decisions, c.Messages = r.Decider.Decide(ctx, host, &decide.Input{
			Event:    in.Event,
			Place:    in.Place,
			Matches:  matches,
			Tries:    tries,
			Messages: messages,
			Patience: patience,
		})
		in.Payloads.Made(UntilCommit(c.Messages))
	}
	if stalled := host.Stalled(); stalled != nil {
		return nil, nil, stalled
	}
	for i := range c.Decisions {
		if d := &c.Decisions[i]; d.Subscription.DeletedAt != nil {
			d.Outcome, d.Reason = decide.OutcomeInactive, "the subscription was deleted"
		}
	}
	r.logTrouble(ctx, c)
	made, err := r.Committer.commitAgain(ctx, c)
	if err != nil {
		return nil, nil, callbacks.Stall("commit the decisions", err)
	}
	if messages, err = r.Intents.storedMessages(ctx, c, messages); err != nil {
		return nil, nil, err
	}
	return c.Decisions, c.inputs(made, messages), nil
}

// loadMatches reads the subscriptions of decisions again.
func (r *Reevaluator) loadMatches(
	ctx context.Context, waiting []store.LoadWaitingRow,
) ([]decide.Match, map[uuid.UUID]int, error) {
	ids := make([]uuid.UUID, len(waiting))
	byID := make(map[uuid.UUID]*store.LoadWaitingRow, len(waiting))
	tries := make(map[uuid.UUID]int, len(waiting))
	for i := range waiting {
		w := &waiting[i]
		ids[i] = w.SubscriptionID
		byID[w.SubscriptionID] = w
		tries[w.SubscriptionID] = w.Tries
	}
	subs, err := r.Subscriptions.GetMany(ctx, ids)
	if err != nil {
		return nil, nil, callbacks.Stall("load subscriptions", err)
	}
	matches := make([]decide.Match, len(subs))
	for i, sub := range subs {
		w := byID[sub.ID]
		matches[i] = decide.Match{
			Subscription: sub,
			Site:         hierarchy.Path(w.MatchedSite),
			Pattern:      w.MatchedPattern,
		}
	}
	return matches, tries, nil
}
