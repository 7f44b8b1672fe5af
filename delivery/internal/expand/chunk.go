package expand

import (
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
)

// Chunk is a part of the subscriptions that an intent matches, decided and not yet
// committed.
type Chunk struct {
	Intent    *Intent
	Standing  resolve.Standing // by which its matches were found
	Matches   []decide.Match
	ReadAt    time.Time           // when the read of its subscriptions began
	Next      uuid.UUID           // the last subscription of the chunk
	Ended     callbacks.EndedRuns // of the next chunk
	More      bool                // there are subscriptions after it
	Keep      Retention
	JobID     int64
	Wait      time.Duration // before decisions that wait are made again
	Decisions []decide.Decision
	Messages  map[string]dialect.Message
}

// expect adds what the messages of the chunk are going to take to what its job wants.
func (c *Chunk) expect(d *decide.Decider, want *payloads.Want) {
	for name := range decide.Dialects(c.Matches, nil) {
		want.Make(name, d.Messages.Expect(&c.Intent.Event, name, c.Intent.DataBytes()))
	}
}

// UntilCommit is how many bytes messages take in memory until they are committed: their own,
// and those of the statement that writes them.
func UntilCommit(messages map[string]dialect.Message) int { return 2 * bytesOf(messages) }

// bytesOf is how many bytes messages count as payloads.
func bytesOf(messages map[string]dialect.Message) (n int) {
	for _, msg := range messages {
		if len(msg.Body) > payloads.Inline {
			n += len(msg.Body)
		}
	}
	return n
}

// Input is the first attempt of a delivery that the chunk decides, with the signing
// secrets of its subscription. Its message and its endpoint are not set.
func (c *Chunk) Input(d *decide.Decision, secrets [][]byte) *send.Input {
	return &send.Input{
		Target: attempt.Target{
			ID:          d.DeliveryID,
			IntentID:    c.Intent.ID,
			Event:       c.Intent.Event,
			Sub:         send.Subscription(&d.Subscription),
			Stored:      secrets,
			Dialect:     d.Subscription.Dialect,
			Epoch:       d.Subscription.Epoch,
			State:       attempt.StatePending,
			Round:       1,
			AccessAt:    d.AccessAt,
			ReadAt:      c.ReadAt,
			TreeVersion: c.Intent.TreeVersion,
			DataLater:   c.Intent.dataDropped,
		},
		Payloads: c.Intent.Payloads,
	}
}

// inputs pairs what was decided with the rows that were made of it. Held deliveries have
// no attempt yet.
func (c *Chunk) inputs(made []store.CommitExpansionsRow, messages map[string]dialect.Message) []*send.Input {
	if len(made) == 0 {
		return nil
	}
	for name, msg := range messages { // they are stored by now
		msg.Body = c.Intent.Payloads.Share(name, msg.Body)
		messages[name] = msg
	}
	c.Intent.Payloads.Made(0)
	byID := make(map[uuid.UUID]*store.CommitExpansionsRow, len(made))
	for i := range made {
		byID[made[i].ID] = &made[i]
	}
	inputs := make([]*send.Input, 0, len(made))
	for i := range c.Decisions {
		d := &c.Decisions[i]
		row, ok := byID[d.DeliveryID]
		if !ok || d.Outcome != decide.OutcomeDeliver || d.Hold != "" {
			continue
		}
		in := c.Input(d, row.Secrets)
		in.Message = messages[d.Subscription.Dialect]
		in.Endpoint = attempt.Endpoint{
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Gone:          row.Gone,
			Failing:       row.Failing,
		}
		inputs = append(inputs, in)
	}
	return inputs
}
