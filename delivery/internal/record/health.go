package record

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/store"
)

// HealthKey is an endpoint in an epoch of its subscription.
type HealthKey struct {
	attempt.EndpointKey

	Epoch int
}

// Health adds up what a batch says of each endpoint, so that its row is written once a
// batch.
type Health map[HealthKey]*healthEntry

type healthEntry struct {
	Recovered    *attempt.Transition // a success ended the window; the counts are those after it
	Failed       int
	AppFailed    bool // of them at least one of an event of the application
	Exhausted    int
	Unresolvable int
	Gone         bool
	Asked        time.Duration // the endpoint gets nothing for so long
	Pause        time.Duration // its circuit opens for so long
	Closed       bool          // the probe was refused, but answered
	Probe        uuid.UUID     // the delivery that was the probe, and is not any more
}

func (h Health) entry(key HealthKey) *healthEntry {
	if h[key] == nil {
		h[key] = &healthEntry{}
	}
	return h[key]
}

// AddUnresolvable counts a decision about a subscription whose owner is not known.
func (h Health) AddUnresolvable(endpoint attempt.EndpointKey, epoch int) {
	h.entry(HealthKey{endpoint, epoch}).Unresolvable++
}

// saysOfHealth is whether Add enters something for the transition if nothing of its
// endpoint was entered before.
func saysOfHealth(tr *attempt.Transition) bool {
	if tr.Attempt == nil || !attempt.ConcernsEndpoint(tr.Attempt.Outcome) {
		return tr.EndsProbe()
	}
	return !attempt.Accepted(tr.Attempt.Outcome) || tr.Target.Failing || tr.Target.Probe || tr.Asked > 0
}

// Add enters what one transition says, in the order in which they happened.
// failing is what was found when it was recorded: a window may have begun since the
// request went out.
func (h Health) Add(tr *attempt.Transition, failing bool) {
	key := HealthKey{tr.Target.EndpointKey(), tr.Target.Epoch}
	if tr.Attempt == nil || !attempt.ConcernsEndpoint(tr.Attempt.Outcome) {
		if tr.EndsProbe() {
			h.entry(key).Probe = tr.Target.ID
		}
		return
	}
	if attempt.Accepted(tr.Attempt.Outcome) {
		h.addSuccess(key, tr, failing)
		return
	}
	entry := h.entry(key)
	entry.Failed++
	entry.AppFailed = entry.AppFailed || !eventtype.IsReserved(tr.Target.Event.Type)
	if tr.State == attempt.StateExhausted {
		entry.Exhausted++
	}
	entry.Gone = entry.Gone || tr.Attempt.Outcome == attempt.OutcomeGone
	entry.Asked = max(entry.Asked, tr.Asked)
	entry.Pause = max(entry.Pause, tr.Pause)
	if tr.EndsProbe() {
		entry.Probe = tr.Target.ID
		entry.Closed = entry.Closed || !tr.StopsEndpoint()
	}
}

// addSuccess ends what was counted before, except for what a success does not end.
func (h Health) addSuccess(key HealthKey, tr *attempt.Transition, failing bool) {
	before := h[key]
	if failing || tr.Target.Failing || tr.Target.Probe || before != nil {
		now := healthEntry{Recovered: tr}
		if before != nil { // a wait that it has asked for stays
			now.Unresolvable = before.Unresolvable
			now.Gone = before.Gone
			now.Asked = before.Asked
		}
		*h.entry(key) = now
	}
	if tr.Asked > 0 { // it accepted this one and asks to wait with the next
		entry := h.entry(key)
		entry.Asked = max(entry.Asked, tr.Asked)
	}
}

// Write writes what was entered by q, a transaction, and returns the windows that were
// warned of and have ended.
func (h Health) Write(ctx context.Context, q *store.Queries) ([]store.RecordRecoveriesRow, error) {
	var (
		failures   store.RecordFailuresParams
		recoveries store.RecordRecoveriesParams
		closed     store.CloseCircuitsParams
	)
	for key, entry := range h {
		if entry.Recovered != nil {
			recoveries.Subscriptions = append(recoveries.Subscriptions, key.SubscriptionID.String())
			recoveries.Epochs = append(recoveries.Epochs, key.Epoch)
			recoveries.UrlVersions = append(recoveries.UrlVersions, key.URLVersion)
		}
		if entry.Closed {
			closed.Subscriptions = append(closed.Subscriptions, key.SubscriptionID.String())
			closed.Epochs = append(closed.Epochs, key.Epoch)
			closed.UrlVersions = append(closed.UrlVersions, key.URLVersion)
		}
		if entry.Failed == 0 && entry.Unresolvable == 0 && entry.Asked == 0 && entry.Pause == 0 && !entry.Gone && entry.Probe == uuid.Nil {
			continue
		}
		failures.Subscriptions = append(failures.Subscriptions, key.SubscriptionID.String())
		failures.Epochs = append(failures.Epochs, key.Epoch)
		failures.UrlVersions = append(failures.UrlVersions, key.URLVersion)
		failures.Failed = append(failures.Failed, entry.Failed)
		failures.Exhausted = append(failures.Exhausted, entry.Exhausted)
		failures.Unresolvable = append(failures.Unresolvable, entry.Unresolvable)
		failures.AppFailed = append(failures.AppFailed, entry.AppFailed)
		failures.Gone = append(failures.Gone, entry.Gone)
		failures.AskedMs = append(failures.AskedMs, entry.Asked.Milliseconds())
		failures.PauseMs = append(failures.PauseMs, entry.Pause.Milliseconds())
		probe := ""
		if entry.Probe != uuid.Nil {
			probe = entry.Probe.String()
		}
		failures.Probes = append(failures.Probes, probe)
	}
	return h.writeAll(ctx, q, &recoveries, &failures, &closed)
}

func (h Health) writeAll(
	ctx context.Context, q *store.Queries,
	recoveries *store.RecordRecoveriesParams, failures *store.RecordFailuresParams, closed *store.CloseCircuitsParams,
) (ended []store.RecordRecoveriesRow, err error) {
	if len(recoveries.Subscriptions) > 0 && len(failures.Subscriptions) > 0 {
		if err := q.LockHealth(ctx, h.keys()); err != nil {
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

func (h Health) keys() *store.LockHealthParams {
	p := &store.LockHealthParams{}
	for key := range h {
		p.Subscriptions = append(p.Subscriptions, key.SubscriptionID.String())
		p.Epochs = append(p.Epochs, key.Epoch)
	}
	return p
}

// recoveries are the operations about windows that were warned of and have ended. It
// enters that in the transitions that ended them.
func (h Health) recoveries(ended []store.RecordRecoveriesRow) (ops []Operation) {
	for _, row := range ended {
		endpoint := attempt.EndpointKey{SubscriptionID: row.SubscriptionID, URLVersion: row.URLVersion}
		tr := h[HealthKey{endpoint, row.Epoch}].Recovered
		tr.Recovered = &attempt.Recovery{Epoch: row.Epoch, FailedAttempts: row.FailedAttempts}
		if row.FailingSince != nil {
			tr.Recovered.FailingSince = *row.FailingSince
		}
		ops = append(ops, recoveredEvent(tr).Operation(event.SubscriptionRecovered))
	}
	return ops
}
