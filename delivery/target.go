package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

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
	return hierarchy.Lookup{
		IntentID:    in.ID,
		Type:        in.Event.Type,
		Site:        hierarchy.Path(in.Event.Site),
		ActiveSite:  hierarchy.Path(in.Event.ActiveSite),
		TreeVersion: in.TreeVersion,
		Channel:     in.Event.Channel,
		After:       after,
		Limit:       limit,
	}
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

// accessRequest asks for one principal and the intent's resource, which is at a place.
func accessRequest(ev dialect.Event, at hierarchy.Place, principal, permission string) access.Request {
	return access.Request{
		Principal:    principal,
		Permission:   permission,
		Site:         at.Site,
		RecordedSite: access.Path(ev.Site),
		ActiveSite:   at.ActiveSite,
		Channel:      ev.Channel,
		EventType:    ev.Type,
		IntentID:     ev.ID,
		Actor:        ev.Actor,
		Resource:     access.Resource{Kind: ev.ResourceKind, ID: ev.ResourceID},
		Attributes:   ev.Attributes,
		Data:         ev.Data,
		OccurredAt:   ev.OccurredAt,
	}
}

// target is a delivery with all that an attempt of it needs.
type target struct {
	ID       uuid.UUID
	IntentID uuid.UUID
	Event    dialect.Event
	Message  dialect.Message
	Sub      hierarchy.Subscription // the fields that an attempt needs
	Stored   [][]byte               // the signing secrets, as statements return them
	Opened   bool                   // Secrets are those of Stored
	Secrets  []dialect.Secret
	Auth     *credentials.Endpoint // set right before the request
	Dialect  string
	Ended    callbacks.EndedRuns
	By       *callbacks.Caller // how host code is called

	Payloads  *payloads.Held // where what is to be loaded later comes from
	BodyLater bool           // the message's body is not loaded yet
	DataLater bool           // the event's data are not loaded yet

	TreeVersion int64 // that the intent's transaction saw; 0 is the present

	ReadAt   time.Time // when reading it, or its subscription, began
	Question bool      // its delivery is written with the answer

	Epoch       int // of the subscription when the delivery was made
	State, Hold string
	JobID       *int64
	Round       int
	Seq         int
	Attempts    int
	Interrupted int
	Manual      bool
	AtOnce      bool // a person wants the next attempt now

	AccessAt      time.Time // when access was checked last; zero: never
	AskedUntil    time.Time // nothing is sent before: the endpoint has asked for it
	CircuitUntil  time.Time // nothing but the probe is sent before
	CircuitOpened int       // how often the circuit has opened in a row
	Trial         bool      // the circuit is not closed: only a probe is sent
	Probed        bool      // another delivery is the probe
	Probe         bool      // this delivery is to try whether the endpoint answers again
	Gone          bool      // the endpoint has answered 410
	Failing       bool      // the endpoint's last answers were failures
	MessageGone   bool      // there is nothing to send any more
	Rechecked     bool      // access was checked again for this attempt
}

// lookup asks for the place of the target's event.
func (t *target) lookup() hierarchy.Lookup {
	in := intent{
		ID:          t.IntentID,
		Event:       t.Event,
		TreeVersion: t.TreeVersion,
	}
	return in.lookup(uuid.Nil, 0)
}

func newTarget(row store.LoadDeliveriesRow, readAt, now time.Time) (*target, error) {
	t := &target{
		ID:        row.ID,
		IntentID:  row.IntentID,
		Dialect:   row.Dialect,
		ReadAt:    readAt,
		BodyLater: row.BodyLater,
		DataLater: row.DataLater,
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
		Sub: hierarchy.Subscription{
			ID:                 row.SubscriptionID,
			URL:                row.URL,
			Owner:              row.Owner,
			Operator:           row.Operator,
			Permission:         row.Permission,
			Dialect:            row.Dialect,
			Schedule:           row.Schedule,
			Timeout:            time.Duration(row.TimeoutMs) * time.Millisecond,
			MaxInFlight:        row.MaxInFlight,
			CredentialsVersion: row.CredentialsVersion,
			URLVersion:         row.URLVersion,
			State:              hierarchy.State(row.SubscriptionState),
			StateReason:        row.StateReason,
			Epoch:              row.SubscriptionEpoch,
		},
		Epoch:         row.Epoch,
		State:         row.State,
		Hold:          row.Hold,
		JobID:         row.JobID,
		Round:         row.Round,
		Seq:           row.AttemptSeq,
		Attempts:      row.Attempts,
		Interrupted:   row.Interrupted,
		Manual:        row.Manual,
		AtOnce:        row.AtOnce,
		CircuitOpened: row.CircuitOpened,
		Trial:         row.Trial,
		Probed:        row.Probed,
		Probe:         row.Probe,
		Gone:          row.Gone,
		Failing:       row.Failing,
		MessageGone:   row.MessageGone,
		TreeVersion:   row.TreeVersion,
	}
	if row.Deleted {
		t.Sub.DeletedAt = &now
	}
	if row.AccessAgeMs >= 0 {
		t.AccessAt = now.Add(-time.Duration(row.AccessAgeMs) * time.Millisecond)
	}
	t.AskedUntil, t.CircuitUntil = in(now, row.AskedMs), in(now, row.CircuitMs)
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
	t.Stored = row.Secrets
	var err error
	if t.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", row.ID, err)
	}
	return t, nil
}

// in is the time that is so many milliseconds after now; zero where that is past.
func in(now time.Time, ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(ms) * time.Millisecond)
}

// endpoint is the URL that the delivery goes to.
func (t *target) endpoint() endpointKey {
	return endpointKey{SubscriptionID: t.Sub.ID, URLVersion: t.Sub.URLVersion}
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

// accessAge is how long ago access was checked for this attempt, in
// milliseconds; -1 when the last check before it was still good. What counts is
// the check, not the attempt: otherwise a short schedule would never check again.
func (t *target) accessAge() int64 {
	if !t.Rechecked {
		return -1
	}
	return time.Since(t.AccessAt).Milliseconds()
}
