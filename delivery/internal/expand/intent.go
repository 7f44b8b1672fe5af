package expand

import (
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/resolve"
)

// IntentState is the state of the expansion of an intent. Package delivery documents it.
type IntentState string

// The states, which the database stores by these names.
const (
	IntentCancelled IntentState = "cancelled"
	IntentExpanded  IntentState = "expanded"
	IntentFailed    IntentState = "failed"
	IntentPending   IntentState = "pending"
)

// Intent is an intent as the database has it, or a question that is not stored yet.
type Intent struct {
	ID    uuid.UUID
	State IntentState
	After uuid.UUID // the last subscription that was expanded
	Chain string    // the sites by which those up to it were found
	Event dialect.Event
	Ended callbacks.EndedRuns
	Keep  Retention // that the event type is registered with

	Payloads *payloads.Held  // held by the job that has it; nil: of a question
	Stored   []payloads.Size // the data and messages that were not loaded with it

	dataDropped bool // they were loaded, and given back

	Place       resolve.Place // where its resource is now: set before anything is decided
	TreeVersion int64         // that its transaction saw; 0 is the present
}

// Retention says what is kept of the payloads of an intent, and how long all of it is. As a
// registration of an event type, the zero Retention says nothing.
type Retention struct {
	Payloads event.Keep
	Age      time.Duration
}

// Stored is the rule for payloads as an intent in the database has it: "" keeps all.
func (r Retention) Stored() string {
	if r.Payloads == event.KeepBody {
		return ""
	}
	return string(r.Payloads)
}

// Lookup asks for the subscriptions after one, at most that many.
func (in *Intent) Lookup(after uuid.UUID, limit int) resolve.Lookup {
	asked := decide.LookupOf(in.ID, &in.Event, in.TreeVersion)
	asked.After = after
	asked.Limit = limit
	return asked
}

// DataBytes is how many bytes the data of its event have.
func (in *Intent) DataBytes() int {
	for _, s := range in.Stored {
		if s.Name == payloads.Data {
			return s.Bytes
		}
	}
	return len(in.Event.Data)
}

// dropData gives the data back, if they are large: attempts do without, unless access is
// checked again.
func (in *Intent) dropData() {
	if len(in.Event.Data) > payloads.Inline {
		in.Event.Data, in.dataDropped = nil, true
		in.Payloads.Drop(payloads.Data)
	}
}

// RegisteredRetention is the Retention that an event type is registered with.
func RegisteredRetention(keep string, ageMs int64) Retention {
	return Retention{Payloads: event.Keep(keep), Age: time.Duration(ageMs) * time.Millisecond}
}
