package delivery

import (
	"bytes"
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
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// rereadAfter is the age at which the row of an attempt is read again right before
	// its request.
	rereadAfter = time.Second

	// maxRereads is how often an attempt begins anew because its subscription has
	// changed while it was prepared.
	maxRereads = 3
)

// errOvertaken means that no request was made, because what it was made from has
// changed since that was read.
var errOvertaken = errors.New("its subscription was changed meanwhile")

// unreadReason is what the history says of an attempt whose row could not be read again.
const unreadReason = "the delivery could not be read again"

// reread names what an attempt was made from. Delivery is the zero id of a ping or a
// challenge.
type reread struct {
	Delivery     uuid.UUID
	Subscription uuid.UUID
}

// age is the time since a moment, by the clock that has gone further: one of them
// stands still while the machine sleeps, the other can be set back.
func age(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// isOld says whether the target is to be read again before a request.
func (e *Engine) isOld(t *target) bool { return age(t.ReadAt, time.Now()) > e.rereadAfter }

// rereadTargets is the flush of the batch of rereads. What is not there any more is nil.
func (e *Engine) rereadTargets(ctx context.Context, keys []reread) ([]*store.RereadTargetsRow, error) {
	p := &store.RereadTargetsParams{}
	for _, key := range keys {
		p.Ids = append(p.Ids, key.Delivery.String())
		p.Subscriptions = append(p.Subscriptions, key.Subscription.String())
	}
	rows, err := e.frequent.RereadTargets(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("delivery: read deliveries again: %w", err)
	}
	byKey := make(map[reread]*store.RereadTargetsRow, len(rows))
	for _, row := range rows {
		byKey[reread{row.ID, row.SubscriptionID}] = &row
	}
	out := make([]*store.RereadTargetsRow, len(keys))
	for i, key := range keys {
		out[i] = byKey[key]
	}
	return out, nil
}

// reread brings a target up to date. It returns false where there is nothing to send:
// the delivery was moved on by somebody else, or is gone.
func (e *Engine) reread(ctx context.Context, t *target) (still bool, err error) {
	readAt := time.Now()
	row, err := e.rereads.Do(ctx, reread{t.ID, t.Sub.ID})
	switch {
	case err != nil:
		return false, err
	case row == nil:
		return false, nil
	case t.HasRow() && (!row.Known || attempt.State(row.State) != attempt.StatePending || row.Hold != "" || row.AttemptSeq != t.Seq):
		return false, nil
	}
	if err := t.update(row, time.Now()); err != nil {
		return false, err
	}
	t.ReadAt = readAt
	return true, nil
}

// unread is what becomes of a delivery that could not be read again.
func (e *Engine) unread(ctx context.Context, t *target, err error) *attempt.Transition {
	e.log.WarnContext(ctx, "riverhook: delivery waits", "delivery", t.ID, "intent", t.Event.ID, "reason", unreadReason, "error", err)
	return t.Postpone(attempt.ChangedWait, unreadReason)
}

// attemptAged is attemptOne of a target that is old by the time at which it may queue
// up, behind the rest of a fan-out. It is read again before it has a slot: whatever is
// read in a slot keeps the others out of it for a round trip.
func (e *Engine) attemptAged(ctx context.Context, by callbacks.JobRef, t *target, started time.Time) error {
	switch still, err := e.reread(ctx, t); {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return e.record(ctx, e.unread(ctx, t, err))
	case !still: // somebody else has moved it on
		return nil
	}
	return e.attemptOne(ctx, by, t, started)
}

func (t *target) update(row *store.RereadTargetsRow, now time.Time) error {
	sub := withState(attempt.Subscription{
		ID:                 t.Sub.ID,
		URL:                row.URL,
		PendingURL:         row.PendingURL,
		Owner:              row.Owner,
		Operator:           row.Operator,
		Permission:         row.Permission,
		Schedule:           row.Schedule,
		Timeout:            time.Duration(row.TimeoutMs) * time.Millisecond,
		MaxInFlight:        row.MaxInFlight,
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		Epoch:              row.SubscriptionEpoch,
		Deleted:            row.Deleted,
	}, subscription.State(row.SubscriptionState), row.StateReason)
	if err := json.Unmarshal(row.Headers, &sub.Headers); err != nil {
		return fmt.Errorf("headers of subscription %s: %w", sub.ID, err)
	}
	t.Sub = sub
	if !slices.EqualFunc(row.Secrets, t.Stored, bytes.Equal) {
		t.Stored = row.Secrets
		t.Secrets = nil
		t.Opened = false
	}
	t.Endpoint = attempt.Endpoint{
		AskedUntil:    attempt.After(now, row.AskedMs),
		CircuitUntil:  attempt.After(now, row.CircuitMs),
		CircuitOpened: row.CircuitOpened,
		Trial:         row.Trial,
		Probed:        row.Probed,
		Probe:         row.Probe,
		Gone:          row.Gone,
		Failing:       row.Failing,
	}
	t.MessageGone = row.MessageGone
	return nil
}

// stillAsRead says, right before a request, whether what it was made from is in force
// still. It asks the database only where that was read too long ago.
func (e *Engine) stillAsRead(ctx context.Context, t *target) bool {
	if !e.isOld(t) {
		return true
	}
	now := *t
	if still, err := e.reread(ctx, &now); err != nil || !still || !t.sameRequest(&now) {
		return false
	}
	if t.ID != uuid.Nil && now.BlockedBy(time.Now()) != nil || t.HasRow() && e.accessIsOld(t) {
		return false
	}
	t.ReadAt = now.ReadAt
	return true
}

// sameRequest says whether a request that was made from t would be made from now as
// well. That of a challenge goes to the URL that waits for its proof.
func (t *target) sameRequest(now *target) bool {
	return (t.EndpointKey() == now.EndpointKey() && t.Sub.URL == now.Sub.URL || t.ID == uuid.Nil && t.Sub.URL == now.Sub.PendingURL) &&
		(t.ID != uuid.Nil || !now.Sub.Deleted) &&
		t.Sub.CredentialsVersion == now.Sub.CredentialsVersion &&
		maps.Equal(t.Sub.Headers, now.Sub.Headers) &&
		(t.ID == uuid.Nil || slices.EqualFunc(t.Stored, now.Stored, bytes.Equal))
}
