package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/store"
)

type healthKey struct {
	SubscriptionID uuid.UUID
	Epoch          int
	URLVersion     int
}

func healthKeyOf(endpoint attempt.EndpointKey, epoch int) healthKey {
	return healthKey{
		SubscriptionID: endpoint.SubscriptionID,
		Epoch:          epoch,
		URLVersion:     endpoint.URLVersion,
	}
}

// healthBook adds up what a batch says of each subscription's endpoint, so that
// its row is touched once a batch.
type healthBook map[healthKey]*healthEntry

type healthEntry struct {
	Recovered    *attempt.Transition // a success ended the window; the counts are those behind it
	Failed       int
	AppFailed    bool // of them at least one of an event of the application
	Exhausted    int
	Unresolvable int
	Gone         bool
	Asked        time.Duration // the endpoint is to get nothing for so long
	Pause        time.Duration // its circuit opens for so long
	Closed       bool          // the probe was refused, but answered
	Probe        uuid.UUID     // the delivery that was the probe, and is not any more
}

func (b healthBook) empty() bool { return len(b) == 0 }

func (b healthBook) entry(key healthKey) *healthEntry {
	if b[key] == nil {
		b[key] = &healthEntry{}
	}
	return b[key]
}

// addUnresolvable counts the decisions whose owner is not known.
func (b healthBook) addUnresolvable(decisions []decide.Decision) {
	for _, d := range decisions {
		if d.OwnerUnknown {
			endpoint := attempt.EndpointKey{SubscriptionID: d.Subscription.ID, URLVersion: d.Subscription.URLVersion}
			b.entry(healthKeyOf(endpoint, d.Subscription.Epoch)).Unresolvable++
		}
	}
}

// saysOfHealth is whether add enters something for the transition where nothing
// of its endpoint was entered before.
func saysOfHealth(tr *attempt.Transition) bool {
	if tr.Attempt == nil || !attempt.ConcernsEndpoint(tr.Attempt.Outcome) {
		return tr.EndsProbe()
	}
	return !attempt.Accepted(tr.Attempt.Outcome) || tr.Target.Failing || tr.Target.Probe || tr.Asked > 0
}

// add enters what one transition says, in the order in which they happened.
// failing is what was found when it was recorded: a window may have begun since the
// request went out.
func (b healthBook) add(tr *attempt.Transition, failing bool) {
	key := healthKeyOf(tr.Target.EndpointKey(), tr.Target.Epoch)
	if tr.Attempt == nil || !attempt.ConcernsEndpoint(tr.Attempt.Outcome) {
		if tr.EndsProbe() {
			b.entry(key).Probe = tr.Target.ID
		}
		return
	}
	switch tr.Attempt.Outcome {
	case OutcomeDelivered, OutcomeVetoed:
		before := b[key]
		if failing || tr.Target.Failing || tr.Target.Probe || before != nil {
			now := healthEntry{Recovered: tr}
			if before != nil { // a wait that it has asked for stays
				now.Unresolvable = before.Unresolvable
				now.Gone = before.Gone
				now.Asked = before.Asked
			}
			*b.entry(key) = now
		}
		if tr.Asked > 0 { // it took this one and asks to wait with the next
			h := b.entry(key)
			h.Asked = max(h.Asked, tr.Asked)
		}
	default:
		h := b.entry(key)
		h.Failed++
		h.AppFailed = h.AppFailed || !event.IsReserved(tr.Target.Event.Type)
		if tr.State == attempt.StateExhausted {
			h.Exhausted++
		}
		h.Gone = h.Gone || tr.Attempt.Outcome == OutcomeGone
		h.Asked, h.Pause = max(h.Asked, tr.Asked), max(h.Pause, tr.Pause)
		if tr.EndsProbe() {
			h.Probe = tr.Target.ID
			h.Closed = h.Closed || tr.Pause == 0 && tr.Asked == 0
		}
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
			recoveries.UrlVersions = append(recoveries.UrlVersions, key.URLVersion)
		}
		if h.Closed {
			closed.Subscriptions = append(closed.Subscriptions, key.SubscriptionID.String())
			closed.Epochs = append(closed.Epochs, key.Epoch)
			closed.UrlVersions = append(closed.UrlVersions, key.URLVersion)
		}
		if h.Failed == 0 && h.Unresolvable == 0 && h.Asked == 0 && h.Pause == 0 && !h.Gone && h.Probe == uuid.Nil {
			continue
		}
		failures.Subscriptions = append(failures.Subscriptions, key.SubscriptionID.String())
		failures.Epochs = append(failures.Epochs, key.Epoch)
		failures.UrlVersions = append(failures.UrlVersions, key.URLVersion)
		failures.Failed = append(failures.Failed, h.Failed)
		failures.Exhausted = append(failures.Exhausted, h.Exhausted)
		failures.Unresolvable = append(failures.Unresolvable, h.Unresolvable)
		failures.AppFailed = append(failures.AppFailed, h.AppFailed)
		failures.Gone = append(failures.Gone, h.Gone)
		failures.AskedMs = append(failures.AskedMs, h.Asked.Milliseconds())
		failures.PauseMs = append(failures.PauseMs, h.Pause.Milliseconds())
		probe := ""
		if h.Probe != uuid.Nil {
			probe = h.Probe.String()
		}
		failures.Probes = append(failures.Probes, probe)
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
