package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
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
	Recovered    *transition // a success ended the window; the counts are those behind it
	Failed       int
	AppFailed    bool // of them at least one of an event of the application
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

// addUnresolvable counts the decisions whose owner is not known.
func (b healthBook) addUnresolvable(decisions []decision) {
	for _, d := range decisions {
		if d.OwnerUnknown {
			b.entry(d.Subscription.ID, d.Subscription.Epoch).Unresolvable++
		}
	}
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
// failing is what was found when it was recorded: a window may have begun since the
// request went out.
func (b healthBook) add(tr *transition, failing bool) {
	if tr.Attempt == nil || !saysOfEndpoint(tr.Attempt.Outcome) {
		return
	}
	switch tr.Attempt.Outcome {
	case OutcomeDelivered, OutcomeVetoed:
		before := b[healthKey{tr.Target.Sub.ID, tr.Target.Epoch}]
		if failing || tr.Target.Failing || tr.Target.Probe || before != nil {
			now := healthEntry{Recovered: tr}
			if before != nil {
				now.Unresolvable, now.Gone = before.Unresolvable, before.Gone
				if !before.Opened { // a wait that it has asked for stays
					now.Pause = before.Pause
				}
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
		h.AppFailed = h.AppFailed || !hierarchy.IsReserved(tr.Target.Event.Type)
		if tr.State == stateExhausted {
			h.Exhausted++
		}
		h.Gone = h.Gone || tr.Attempt.Outcome == OutcomeGone
		h.Pause = max(h.Pause, tr.Pause)
		h.Opened = h.Opened || tr.Opens
		h.Closed = h.Closed || tr.Target.Probe && tr.Pause == 0
	}
}

// write returns the windows that were warned of and have ended.
func (b healthBook) write(ctx context.Context, q *store.Queries) ([]store.RecordRecoveriesRow, error) {
	var (
		failures   store.RecordFailuresParams
		recoveries store.RecordRecoveriesParams
		closed     store.CloseCircuitsParams
	)
	for key, h := range b {
		if h.Recovered != nil {
			recoveries.Subscriptions = append(recoveries.Subscriptions, key.SubscriptionID.String())
			recoveries.Epochs = append(recoveries.Epochs, key.Epoch)
		}
		if h.Closed {
			closed.Subscriptions = append(closed.Subscriptions, key.SubscriptionID.String())
			closed.Epochs = append(closed.Epochs, key.Epoch)
		}
		if h.Failed == 0 && h.Unresolvable == 0 && h.Pause == 0 && !h.Gone {
			continue
		}
		failures.Subscriptions = append(failures.Subscriptions, key.SubscriptionID.String())
		failures.Epochs = append(failures.Epochs, key.Epoch)
		failures.Failed = append(failures.Failed, h.Failed)
		failures.Exhausted = append(failures.Exhausted, h.Exhausted)
		failures.Unresolvable = append(failures.Unresolvable, h.Unresolvable)
		failures.AppFailed = append(failures.AppFailed, h.AppFailed)
		failures.Gone = append(failures.Gone, h.Gone)
		failures.PauseMs = append(failures.PauseMs, h.Pause.Milliseconds())
		opened := 0
		if h.Opened {
			opened = 1
		}
		failures.Opened = append(failures.Opened, opened)
	}
	return b.writeAll(ctx, q, &recoveries, &failures, &closed)
}

func (b healthBook) writeAll(
	ctx context.Context, q *store.Queries,
	recoveries *store.RecordRecoveriesParams, failures *store.RecordFailuresParams, closed *store.CloseCircuitsParams,
) (ended []store.RecordRecoveriesRow, err error) {
	if len(recoveries.Subscriptions) > 0 && len(failures.Subscriptions) > 0 {
		if err := q.LockHealth(ctx, b.keys()); err != nil {
			return nil, fmt.Errorf("delivery: lock health: %w", err)
		}
	}
	if len(recoveries.Subscriptions) > 0 {
		if ended, err = q.RecordRecoveries(ctx, recoveries); err != nil {
			return nil, fmt.Errorf("delivery: record recoveries: %w", err)
		}
	}
	if len(failures.Subscriptions) > 0 {
		if err := q.RecordFailures(ctx, failures); err != nil {
			return nil, fmt.Errorf("delivery: record failures: %w", err)
		}
	}
	if len(closed.Subscriptions) > 0 {
		if err := q.CloseCircuits(ctx, closed); err != nil {
			return nil, fmt.Errorf("delivery: close circuits: %w", err)
		}
	}
	return ended, nil
}

func (b healthBook) keys() *store.LockHealthParams {
	p := &store.LockHealthParams{}
	for key := range b {
		p.Subscriptions = append(p.Subscriptions, key.SubscriptionID.String())
		p.Epochs = append(p.Epochs, key.Epoch)
	}
	return p
}
