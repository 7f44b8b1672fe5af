package delivery

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
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

// target is what an attempt is made from.
type target = send.Input

// firstAttempt is the attempt of a delivery that an expansion, or a question, has just
// made by a decision.
func firstAttempt(ex *expansion, d *decide.Decision, secrets [][]byte) *target {
	return &target{Target: attempt.Target{
		ID:          d.DeliveryID,
		IntentID:    ex.Intent.ID,
		Event:       ex.Intent.Event,
		Sub:         send.Subscription(&d.Subscription),
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
