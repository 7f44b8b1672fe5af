package send

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// Input is what an attempt is made from: its target, and how this process makes it.
type Input struct {
	attempt.Target

	Auth     *credentials.Endpoint // opened right before the request
	By       *callbacks.Caller     // how host code is called
	Payloads *payloads.Held        // has what is loaded later; nil: everything is loaded
}

// headers are those that the subscription adds, the sealed ones among them.
func (in *Input) headers() map[string]string {
	secret := in.Auth.Headers()
	if len(secret) == 0 {
		return in.Sub.Headers
	}
	all := make(map[string]string, len(in.Sub.Headers)+len(secret))
	maps.Copy(all, in.Sub.Headers)
	maps.Copy(all, secret)
	return all
}

// loaded is the input of a delivery that was loaded at a time, now.
func loaded(row *store.LoadDeliveriesRow, readAt, now time.Time) (*Input, error) {
	sub := attempt.Subscription{
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
	}
	in := &Input{Target: attempt.Target{
		Endpoint: attempt.Endpoint{
			AskedUntil:    attempt.In(now, row.AskedMs),
			CircuitUntil:  attempt.In(now, row.CircuitMs),
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
		Sub:         withState(sub, subscription.State(row.SubscriptionState), row.StateReason),
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
		in.AccessAt = now.Add(-time.Duration(row.AccessAgeMs) * time.Millisecond)
	}
	for field, into := range map[string]struct {
		raw json.RawMessage
		to  any
	}{
		"attributes":      {row.Attributes, &in.Event.Attributes},
		"message headers": {row.MessageHeaders, &in.Message.Headers},
		"headers":         {row.Headers, &in.Sub.Headers},
	} {
		if err := json.Unmarshal(into.raw, into.to); err != nil {
			return nil, fmt.Errorf("%s of delivery %s: %w", field, row.ID, err)
		}
	}
	var err error
	if in.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", row.ID, err)
	}
	return in, nil
}

// refresh brings an input up to date with what was read now.
func (in *Input) refresh(row *store.RereadTargetsRow, now time.Time) error {
	sub := attempt.Subscription{
		ID:                 in.Sub.ID,
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
	}
	if err := json.Unmarshal(row.Headers, &sub.Headers); err != nil {
		return fmt.Errorf("headers of subscription %s: %w", sub.ID, err)
	}
	in.Sub = withState(sub, subscription.State(row.SubscriptionState), row.StateReason)
	if !slices.EqualFunc(row.Secrets, in.Stored, bytes.Equal) {
		in.Stored = row.Secrets
		in.Secrets = nil
		in.Opened = false
	}
	in.Endpoint = attempt.Endpoint{
		AskedUntil:    attempt.In(now, row.AskedMs),
		CircuitUntil:  attempt.In(now, row.CircuitMs),
		CircuitOpened: row.CircuitOpened,
		Trial:         row.Trial,
		Probed:        row.Probed,
		Probe:         row.Probe,
		Gone:          row.Gone,
		Failing:       row.Failing,
	}
	in.MessageGone = row.MessageGone
	return nil
}

// Subscription is a subscription with what an attempt needs of it, no more: many inputs
// of a large fan-out wait for their turn.
func Subscription(s *subscription.Subscription) attempt.Subscription {
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

// withState enters what the state of a subscription means for its deliveries.
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
