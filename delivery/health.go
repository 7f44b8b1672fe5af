package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

type healthKey struct {
	SubscriptionID uuid.UUID
	Epoch          int
}

// healthBook adds up what a batch says of each subscription's endpoint, so that
// its row is touched once a batch.
type healthBook map[healthKey]*healthEntry

type healthEntry struct {
	Recovered    bool // a success ended the window; the counts are those behind it
	Failed       int
	Exhausted    int
	Unresolvable int
	Gone         bool
	Pause        time.Duration // the circuit is to be open that long
	Opened       bool          // for its failures, not because it asked
	Closed       bool          // the probe was refused, but answered
}

func (b healthBook) empty() bool { return len(b) == 0 }

func (b healthBook) entry(subscription uuid.UUID, epoch int) *healthEntry {
	key := healthKey{subscription, epoch}
	if b[key] == nil {
		b[key] = &healthEntry{}
	}
	return b[key]
}

// saysOfHealth is whether add enters something for the transition where nothing
// of its endpoint was entered before.
func saysOfHealth(tr *transition) bool {
	if tr.Attempt == nil || !saysOfEndpoint(tr.Attempt.Outcome) {
		return false
	}
	return !tr.Attempt.Outcome.took() || tr.Target.Failing || tr.Target.Probe || tr.Pause > 0
}

// add enters what one transition says, in the order in which they happened.
func (b healthBook) add(tr *transition) {
	if tr.Attempt == nil || !saysOfEndpoint(tr.Attempt.Outcome) {
		return
	}
	switch tr.Attempt.Outcome {
	case OutcomeDelivered, OutcomeVetoed:
		before := b[healthKey{tr.Target.Sub.ID, tr.Target.Epoch}]
		if tr.Target.Failing || tr.Target.Probe || before != nil {
			now := healthEntry{Recovered: true}
			if before != nil && !before.Opened { // a wait that it has asked for stays
				now.Pause = before.Pause
			}
			*b.entry(tr.Target.Sub.ID, tr.Target.Epoch) = now
		}
		if tr.Pause > 0 { // it took this one and asks to wait with the next
			h := b.entry(tr.Target.Sub.ID, tr.Target.Epoch)
			h.Pause = max(h.Pause, tr.Pause)
		}
	default:
		h := b.entry(tr.Target.Sub.ID, tr.Target.Epoch)
		h.Failed++
		if tr.State == stateExhausted {
			h.Exhausted++
		}
		h.Gone = h.Gone || tr.Attempt.Outcome == OutcomeGone
		h.Pause = max(h.Pause, tr.Pause)
		h.Opened = h.Opened || tr.Opens
		h.Closed = h.Closed || tr.Target.Probe && tr.Pause == 0
	}
}

func (b healthBook) write(ctx context.Context, q *store.Queries) error {
	var (
		failures   store.RecordFailuresParams
		recoveries store.RecordRecoveriesParams
		closed     store.CloseCircuitsParams
	)
	for key, h := range b {
		if h.Recovered {
			recoveries.Subscriptions = append(recoveries.Subscriptions, key.SubscriptionID.String())
			recoveries.Epochs = append(recoveries.Epochs, key.Epoch)
		}
		if h.Closed {
			closed.Subscriptions = append(closed.Subscriptions, key.SubscriptionID.String())
			closed.Epochs = append(closed.Epochs, key.Epoch)
		}
		if h.Failed == 0 && h.Unresolvable == 0 && h.Pause == 0 {
			continue
		}
		failures.Subscriptions = append(failures.Subscriptions, key.SubscriptionID.String())
		failures.Epochs = append(failures.Epochs, key.Epoch)
		failures.Failed = append(failures.Failed, h.Failed)
		failures.Exhausted = append(failures.Exhausted, h.Exhausted)
		failures.Unresolvable = append(failures.Unresolvable, h.Unresolvable)
		failures.Gone = append(failures.Gone, h.Gone)
		failures.PauseMs = append(failures.PauseMs, h.Pause.Milliseconds())
		opened := 0
		if h.Opened {
			opened = 1
		}
		failures.Opened = append(failures.Opened, opened)
	}
	if len(recoveries.Subscriptions) > 0 {
		if err := q.RecordRecoveries(ctx, &recoveries); err != nil {
			return fmt.Errorf("delivery: record recoveries: %w", err)
		}
	}
	if len(failures.Subscriptions) > 0 {
		if err := q.RecordFailures(ctx, &failures); err != nil {
			return fmt.Errorf("delivery: record failures: %w", err)
		}
	}
	if len(closed.Subscriptions) > 0 {
		if err := q.CloseCircuits(ctx, &closed); err != nil {
			return fmt.Errorf("delivery: close circuits: %w", err)
		}
	}
	return nil
}
