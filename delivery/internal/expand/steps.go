package expand

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
)

// Steps are what an intent goes through, at its expansion and when decisions that waited are
// made again: it is read, its subscriptions are found and decided about, what is decided is
// committed, and first attempts are made.
type Steps struct {
	Intents   *Intents
	Finder    *decide.Finder
	Decider   *decide.Decider
	Committer *Committer
	Sender    *send.Sender
	Limits    Limits
	Log       *slog.Logger
}

// Limits are those of expansions.
type Limits struct {
	ChunkSize       int           // the most subscriptions of a chunk
	ReevaluateAfter time.Duration // the first wait before a decision that waits is made again
}

// wait is why decisions wait.
type wait struct {
	reason string
	cause  attempt.Cause
}

// logTrouble says why decisions wait or have failed, once for each reason and cause.
func (s *Steps) logTrouble(ctx context.Context, c *Chunk) {
	waiting := map[wait]int{}
	failed := map[string]int{}
	unfiltered := map[string]int{}
	for i := range c.Decisions {
		if c.Decisions[i].AtOnce { // the trouble is not known yet
			continue
		}
		reason := c.Decisions[i].Reason
		switch c.Decisions[i].Outcome {
		case decide.OutcomeWaiting:
			waiting[wait{reason, c.Decisions[i].Cause}]++
		case decide.OutcomeFailed:
			failed[reason]++
		case decide.OutcomeFilterError:
			unfiltered[reason]++
		default:
		}
	}
	id := c.Intent.Event.ID
	for w, n := range waiting {
		attrs := []any{"intent", id, "subscriptions", n, "reason", w.reason}
		if w.cause != (attempt.Cause{}) {
			attrs = append(attrs, "cause", w.cause)
		}
		s.Log.WarnContext(ctx, "riverhook: decisions wait", attrs...)
	}
	for reason, n := range unfiltered {
		s.Log.WarnContext(ctx, "riverhook: filters failed", "intent", id, "subscriptions", n, "reason", reason)
	}
	for reason, n := range failed {
		s.Log.ErrorContext(ctx, "riverhook: decisions failed", "intent", id, "subscriptions", n, "reason", reason)
	}
}
