// Package expand turns intents into deliveries: it finds the subscriptions that the event
// of an intent matches, a chunk at a time, has decided what becomes of it for each, commits
// that, and has the first attempts made. Decisions that wait are made again by a
// Reevaluator.
package expand

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// MaxTries is how often a chunk is found and decided again because its sites have
	// changed before it was committed.
	MaxTries = 10

	// classData is that of the SQLSTATEs of data exceptions (Postgres' manual, appendix A).
	classData = "22"

	// maxFailures is how often the job of an expansion may fail before its intent does.
	maxFailures = 20

	// patience is how long deliveries that are decided wait for those of the same chunk of
	// which host code has not answered. docs/access.md names it.
	patience = 250 * time.Millisecond

	// PointExpanded is where a crash must lose nothing: deliveries are committed, no
	// request has gone out. Tests kill a process there.
	PointExpanded = "expanded"
)

// failTimeout bounds the statement that fails an intent, whose job may be cancelled
// already.
const failTimeout = 30 * time.Second

// Expander expands intents. It is safe for concurrent use.
type Expander struct {
	*Steps

	At func(point string)

	// Down says whether the database cannot be written at present.
	Down func() bool

	// Retention is what is kept of the payloads of a type of events, which is registered
	// with a Retention.
	Retention func(eventType string, registered Retention) Retention
}

// Expand expands the chunk of an intent after a subscription, and makes the first attempts
// of the deliveries that come of it. A rerun goes on with what its predecessor left. After
// too many failures, of which failed came before, the intent is failed, visibly; so it is
// if a step of host code is given up.
func (x *Expander) Expand(ctx context.Context, by callbacks.JobRef, failed int, intentID, after uuid.UUID) error {
	err := x.expand(ctx, by, intentID, after)
	var ended *callbacks.EndedError
	switch {
	case err == nil || ctx.Err() != nil || x.Down() || callbacks.IsStall(err):
		return err // it says nothing about the intent
	case errors.As(err, &ended):
		x.Log.ErrorContext(ctx, "riverhook: intent failed", "intent", intentID, "error", err)
		return x.fail(ctx, by, intentID, ended)
	case failed+1 >= maxFailures:
		return errors.Join(err, x.fail(ctx, by, intentID, err))
	default:
		return err
	}
}

// fail gives an expansion up, visibly.
func (x *Expander) fail(ctx context.Context, by callbacks.JobRef, id uuid.UUID, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	if err := x.Intents.Store.FailIntent(ctx, &store.FailIntentParams{
		IntentID: id,
		JobID:    by.JobID,
		Reason:   callbacks.Brief(cause),
	}); err != nil {
		return fmt.Errorf("delivery: fail intent %s: %w", id, err)
	}
	return nil
}

// caller is how a run calls host code for an expansion.
func (x *Expander) caller(by callbacks.JobRef, in *Intent) *callbacks.Caller {
	return x.Intents.Calls.Caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return x.Intents.Store.MarkExpansion(ctx, &store.MarkExpansionParams{
			IntentID:  in.ID,
			After:     in.After,
			EndedRuns: text,
		})
	})
}

func (x *Expander) expand(ctx context.Context, by callbacks.JobRef, intentID, after uuid.UUID) error {
	in, fresh, expands, err := x.inTurn(ctx, by, intentID, after)
	if err != nil || in == nil {
		return err
	}
	defer in.Payloads.Release()
	// Only if this run has made the deliveries, none was left by an earlier one, unless
	// River says that there was one; a run that a shutdown cut off is not counted by River.
	// Only for the deliveries of an earlier run a request may have gone out.
	var left []uuid.UUID
	if by.Rerun || !expands {
		if left, err = x.Sender.Loader.Left(ctx, by, intentID, fresh); err != nil {
			return err
		}
	}
	return x.Sender.All(ctx, by, in.Payloads, fresh, left)
}

// inTurn reads an intent, nil if it is gone, and expands its chunk after a subscription if that is
// where it stands, when it is the turn of its share. It returns the first attempts of the chunk.
// The caller must release the payloads of the intent.
func (x *Expander) inTurn(
	ctx context.Context, by callbacks.JobRef, intentID, after uuid.UUID,
) (in *Intent, fresh []*send.Input, expands bool, err error) {
	if err := x.Intents.Turns.Enter(ctx, by.Share); err != nil {
		return nil, nil, false, err
	}
	defer x.Intents.Turns.Leave(by.Share)
	var (
		c    *Chunk // the next one of the intent, if this job is to expand it
		host *callbacks.Caller
	)
	in, err = x.Intents.open(ctx, by, intentID, func(in *Intent, want *payloads.Want) (err error) {
		if in.State != IntentPending || in.After != after {
			c = nil
			return nil
		}
		host = x.caller(by, in)
		if c, err = x.find(ctx, host, by, in); err == nil {
			c.expect(x.Decider, want)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, nil, false, err
	case in == nil:
		x.Log.WarnContext(ctx, "riverhook: intent is gone", "intent", intentID)
		return nil, nil, false, nil
	case c == nil:
		return in, nil, false, nil
	}
	if fresh, err = x.expandChunk(ctx, host, by, c); err != nil {
		in.Payloads.Release()
		return nil, nil, false, err
	}
	return in, fresh, true, nil
}

// expandChunk decides and commits a chunk of an intent, and returns the first attempts to
// make. If the sites have changed meanwhile, it finds and decides again.
func (x *Expander) expandChunk(ctx context.Context, host *callbacks.Caller, by callbacks.JobRef, c *Chunk) ([]*send.Input, error) {
	in := c.Intent
	if err := x.Intents.loadData(ctx, in); err != nil {
		return nil, err
	}
	messages := map[string]dialect.Message{}
	if in.After != uuid.Nil {
		var err error
		if messages, err = x.Intents.messages(ctx, in); err != nil {
			return nil, err
		}
	}
	fresh := map[string]dialect.Message{} // not stored yet
	for try := range MaxTries {
		var err error
		if try > 0 {
			if c, err = x.find(ctx, host, by, in); err != nil {
				return nil, err
			}
		}
		if stale, err := x.decide(ctx, host, c, messages, fresh); err != nil {
			return nil, err
		} else if stale {
			continue
		}
		done, err := x.Committer.commit(ctx, by.Share, c)
		if err != nil {
			return nil, callbacks.Stall("commit the expansion", err)
		}
		if done.Stale {
			continue
		}
		x.At(PointExpanded)
		if messages, err = x.Intents.storedMessages(ctx, c, messages); err != nil {
			return nil, err
		}
		in.dropData()
		return c.inputs(done.Made, messages), nil
	}
	return nil, callbacks.Stall("commit the expansion", hierarchy.ErrTreeChanges)
}

// find finds the next chunk of an intent. If the sites are others than those by which the
// chunks before it were found, it begins again, without the subscriptions for which
// something is recorded: a subscription that is above the resource now can have an id that
// was passed.
func (x *Expander) find(ctx context.Context, host *callbacks.Caller, by callbacks.JobRef, in *Intent) (*Chunk, error) {
	readAt := time.Now()
	lookup := in.Lookup(in.After, x.Limits.ChunkSize+1)
	lookup.Unrecorded = in.After != uuid.Nil
	found, err := x.Finder.Find(ctx, host, by.Share, lookup)
	if err == nil && in.After != uuid.Nil && found.Standing.Chain != in.Chain {
		lookup.After = uuid.Nil
		found, err = x.Finder.Find(ctx, host, by.Share, lookup)
	}
	if stalled := host.Stalled(); stalled != nil {
		return nil, stalled
	}
	if err != nil {
		return nil, notResolved(in, err)
	}
	in.Place = found.Place
	c := &Chunk{
		Intent:   in,
		Standing: found.Standing,
		Matches:  found.Matches,
		ReadAt:   readAt,
		Next:     in.After,
		Keep:     x.Retention(in.Event.Type, in.Keep),
		JobID:    by.JobID,
		Wait:     x.Limits.ReevaluateAfter,
	}
	if len(c.Matches) > x.Limits.ChunkSize {
		c.Matches, c.More = c.Matches[:x.Limits.ChunkSize], true
		c.Ended = host.Ended().GivenUp()
	}
	if len(c.Matches) > 0 {
		c.Next = c.Matches[len(c.Matches)-1].Subscription.ID
	}
	return c, nil
}

// decide enters the decisions of a chunk. messages are stored; new ones are added to fresh.
// It returns stale if the tree of the application has changed since the chunk was found.
func (x *Expander) decide(
	ctx context.Context, host *callbacks.Caller, c *Chunk, messages, fresh map[string]dialect.Message,
) (stale bool, err error) {
	known := maps.Clone(messages)
	maps.Copy(known, fresh)
	decisions, made := x.Decider.Decide(ctx, host, &decide.Input{
		Event:    c.Intent.Event,
		Place:    c.Intent.Place,
		Matches:  c.Matches,
		Messages: known,
		Patience: patience,
	})
	if stalled := host.Stalled(); stalled != nil {
		return false, stalled
	}
	maps.Copy(fresh, made)
	c.Decisions, c.Messages = decisions, fresh
	c.Intent.Payloads.Made(UntilCommit(fresh))
	x.logTrouble(ctx, c)
	stale, err = x.Finder.Stale(ctx, host, c.Standing)
	if stalled := host.Stalled(); stalled != nil {
		return false, stalled
	}
	if err != nil {
		return false, notResolved(c.Intent, err)
	}
	return stale, nil
}

// notResolved is the error of a lookup. A database or a tree that could not be asked says
// nothing about the intent: it waits until they can be, without limit. An answer is that of
// the intent: of a tree that is given up or broke its contract, or of a statement that did
// not take its data.
func notResolved(in *Intent, err error) error {
	var failed *pgconn.PgError
	refused := errors.As(err, &failed) && strings.HasPrefix(failed.Code, classData)
	if refused || callbacks.IsEnded(err) || errors.Is(err, sitetree.ErrContract) {
		return fmt.Errorf("delivery: resolve intent %s: %w", in.Event.ID, err)
	}
	return callbacks.Stall("resolve intent "+in.Event.ID, err)
}
