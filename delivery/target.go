package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// intentPending is the state of an intent whose expansion is not complete.
const intentPending = "pending"

// intent is an intent as the database has it.
type intent struct {
	ID    uuid.UUID
	State string
	After uuid.UUID // the last subscription that was expanded
	Chain string    // the sites by which those up to it were found
	Event dialect.Event
	Ended callbacks.EndedRuns
	Keep  payloadRule // that the event type is registered with; the zero one says nothing

	Payloads *payloads.Held // held by the job that has it; nil: of a question

	Place       hierarchy.Place // where it is now: set before anything is decided
	TreeVersion int64           // that its transaction saw; 0 is the present
}

// lookup asks for the subscriptions behind one, at most that many.
func (in *intent) lookup(after uuid.UUID, limit int) hierarchy.Lookup {
	asked := decide.LookupOf(in.ID, &in.Event, in.TreeVersion)
	asked.After = after
	asked.Limit = limit
	return asked
}

func newIntent(row store.LoadIntentsRow) (*intent, error) {
	ev := dialect.Event{
		ID:            row.WireID,
		Type:          row.Type,
		Site:          row.Site,
		ActiveSite:    row.ActiveSite,
		ResourceKind:  row.ResourceKind,
		ResourceID:    row.ResourceID,
		Actor:         row.Actor,
		Channel:       row.Channel,
		SchemaVersion: row.SchemaVersion,
		Data:          row.Data,
		OccurredAt:    row.OccurredAt.UTC(),
	}
	if err := json.Unmarshal(row.Attributes, &ev.Attributes); err != nil {
		return nil, fmt.Errorf("attributes of intent %s: %w", row.WireID, err)
	}
	keep := registeredRule(row.TypePayloads, row.TypePayloadAgeMs)
	ended, err := callbacks.ParseEndedRuns(row.EndedRuns)
	if err != nil {
		return nil, fmt.Errorf("intent %s: %w", row.WireID, err)
	}
	return &intent{
		ID:          row.ID,
		State:       row.State,
		After:       row.After,
		Chain:       row.Chain,
		Event:       ev,
		Ended:       ended,
		Keep:        keep,
		TreeVersion: row.TreeVersion,
	}, nil
}

// target is a delivery with all that an attempt of it needs, and how this process makes
// the attempt.
type target struct {
	attempt.Target

	Auth     *credentials.Endpoint // set right before the request
	By       *callbacks.Caller     // how host code is called
	Payloads *payloads.Held        // where what is to be loaded later comes from
}

// lookup asks for the place of the target's event.
func (t *target) lookup() hierarchy.Lookup {
	return decide.LookupOf(t.IntentID, &t.Event, t.TreeVersion)
}

func newTarget(row store.LoadDeliveriesRow, readAt, now time.Time) (*target, error) {
	t := &target{Target: attempt.Target{
		Endpoint: attempt.Endpoint{
			AskedUntil:    attempt.After(now, row.AskedMs),
			CircuitUntil:  attempt.After(now, row.CircuitMs),
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Probed:        row.Probed,
			Probe:         row.Probe,
			Gone:          row.Gone,
			Failing:       row.Failing,
		},
		ID:       row.ID,
		IntentID: row.IntentID,
		Event: dialect.Event{
			ID:            row.WireID,
			Type:          row.Type,
			Site:          row.Site,
			ActiveSite:    row.ActiveSite,
			ResourceKind:  row.ResourceKind,
			ResourceID:    row.ResourceID,
			Actor:         row.Actor,
			Channel:       row.Channel,
			SchemaVersion: row.SchemaVersion,
			Data:          row.Data,
			OccurredAt:    row.OccurredAt.UTC(),
		},
		Message: dialect.Message{
			ID:          row.WireID,
			Type:        row.Type,
			ContentType: row.ContentType,
			Body:        row.Body,
			OccurredAt:  row.OccurredAt.UTC(),
		},
		Sub: withState(attempt.Subscription{
			ID:                 row.SubscriptionID,
			URL:                row.URL,
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
		}, subscription.State(row.SubscriptionState), row.StateReason),
		Dialect:     row.Dialect,
		Epoch:       row.Epoch,
		Stored:      row.Secrets,
		BodyLater:   row.BodyLater,
		DataLater:   row.DataLater,
		MessageGone: row.MessageGone,
		TreeVersion: row.TreeVersion,
		State:       attempt.State(row.State),
		Hold:        attempt.Hold(row.Hold),
		JobID:       row.JobID,
		Round:       row.Round,
		Seq:         row.AttemptSeq,
		Attempts:    row.Attempts,
		Interrupted: row.Interrupted,
		Manual:      row.Manual,
		AtOnce:      row.AtOnce,
		ReadAt:      readAt,
	}}
	if row.AccessAgeMs >= 0 {
		t.AccessAt = now.Add(-time.Duration(row.AccessAgeMs) * time.Millisecond)
	}
	for field, into := range map[string]struct {
		raw json.RawMessage
		to  any
	}{
		"attributes":      {row.Attributes, &t.Event.Attributes},
		"message headers": {row.MessageHeaders, &t.Message.Headers},
		"headers":         {row.Headers, &t.Sub.Headers},
	} {
		if err := json.Unmarshal(into.raw, into.to); err != nil {
			return nil, fmt.Errorf("%s of delivery %s: %w", field, row.ID, err)
		}
	}
	var err error
	if t.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", row.ID, err)
	}
	return t, nil
}

// headers are those that the subscription adds, the sealed ones among them.
func (t *target) headers() map[string]string {
	secret := t.Auth.Headers()
	if len(secret) == 0 {
		return t.Sub.Headers
	}
	all := make(map[string]string, len(t.Sub.Headers)+len(secret))
	maps.Copy(all, t.Sub.Headers)
	maps.Copy(all, secret)
	return all
}

// firstAttempt is the attempt of a delivery that an expansion, or a question, has just
// made by a decision.
func firstAttempt(ex *expansion, d *decide.Decision, secrets [][]byte) *target {
	return &target{Target: attempt.Target{
		ID:          d.DeliveryID,
		IntentID:    ex.Intent.ID,
		Event:       ex.Intent.Event,
		Sub:         newSubscription(&d.Subscription),
		Stored:      secrets,
		Dialect:     d.Subscription.Dialect,
		Epoch:       d.Subscription.Epoch,
		State:       attempt.StatePending,
		Round:       1,
		AccessAt:    d.AccessAt,
		ReadAt:      ex.ReadAt,
		TreeVersion: ex.Intent.TreeVersion,
	}}
}

// newSubscription is a subscription with what an attempt needs of it, no more: many of
// a large fan-out wait for their turn.
func newSubscription(s *subscription.Subscription) attempt.Subscription {
	return withState(attempt.Subscription{
		ID:                 s.ID,
		URL:                s.URL,
		PendingURL:         s.PendingURL,
		Owner:              s.Owner,
		Operator:           s.Operator,
		Permission:         s.Permission,
		Headers:            s.Headers,
		Schedule:           s.Schedule,
		Timeout:            s.Timeout,
		MaxInFlight:        s.MaxInFlight,
		CredentialsVersion: s.CredentialsVersion,
		URLVersion:         s.URLVersion,
		Epoch:              s.Epoch,
		Deleted:            s.DeletedAt != nil,
	}, s.State, s.StateReason)
}

// withState says what the state of a subscription means for its deliveries.
func withState(s attempt.Subscription, state subscription.State, reason string) attempt.Subscription {
	switch {
	case s.Deleted:
		s.Ended = "the subscription was deleted"
	case state == subscription.StateDeactivated:
		s.Ended = attempt.DeactivatedReason(reason)
	case state == subscription.StatePaused:
		s.Waits = "the subscription is paused"
	case state == subscription.StatePendingVerification:
		s.Waits = attempt.UnverifiedReason(reason)
	}
	return s
}
