package attempt

import (
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
)

// Target is a delivery with all that is stored of it and that an attempt needs. A ping and
// a challenge are attempts without a delivery: their ID is zero.
type Target struct {
	Endpoint // as it was when the delivery, or its subscription, was read

	ID       uuid.UUID
	IntentID uuid.UUID
	Event    dialect.Event
	Message  dialect.Message
	Sub      Subscription
	Dialect  string
	Epoch    int  // of the subscription when the delivery was made
	Question bool // its delivery is written together with the answer

	Rated bool   // it has a rate
	Share string // whose turn its request takes; "": not asked yet

	Stored  [][]byte // the signing secrets, as statements return them
	Secrets []dialect.Secret
	Opened  bool // Secrets are those of Stored

	Ended callbacks.EndedRuns // runs of host code for it that did not return

	BodyLater   bool  // the body of the message is not loaded yet
	DataLater   bool  // the data of the event are not loaded yet
	MessageGone bool  // the message was deleted
	TreeVersion int64 // that the intent's transaction saw; 0 is the present

	State       State
	Hold        Hold
	JobID       *int64
	Round       int
	Seq         int
	Attempts    int
	Interrupted int
	Manual      bool
	AtOnce      bool // a person wants the next attempt now

	ReadAt    time.Time // when the read of it, or of its subscription, began
	AccessAt  time.Time // when access was checked last; zero: never
	Rechecked bool      // access was checked again for this attempt
}

// Subscription is what an attempt needs of a subscription.
type Subscription struct {
	ID                 uuid.UUID
	Site               string
	URL                string
	PendingURL         string
	Owner              string
	Operator           bool
	Permission         string
	Headers            map[string]string
	Schedule           string
	Timeout            time.Duration
	MaxInFlight        int
	Rate               Rate
	CredentialsVersion int
	URLVersion         int
	Epoch              int

	Deleted bool
	Ended   string // why nothing is sent to it any more; "": it is in force
	Waits   string // why its deliveries are held; "": they are not
}

// Endpoint is what all engines know of the endpoint of a subscription.
type Endpoint struct {
	AskedUntil    time.Time // nothing is sent before: the endpoint has asked for it
	CircuitUntil  time.Time // nothing but the probe is sent before
	CircuitOpened int       // how often the circuit has opened in a row
	Trial         bool      // the circuit is not closed: only a probe is sent
	Probed        bool      // another delivery is the probe
	Probe         bool      // this delivery is to try whether the endpoint answers again
	Gone          bool      // the endpoint has answered 410
	Failing       bool      // the last answers of the endpoint were failures
}

// EndpointKey is one URL of a subscription. What is known of one URL says nothing about the
// next.
type EndpointKey struct {
	SubscriptionID uuid.UUID
	URLVersion     int
}

// EndpointKey is the URL that the delivery goes to.
func (t *Target) EndpointKey() EndpointKey {
	return EndpointKey{SubscriptionID: t.Sub.ID, URLVersion: t.Sub.URLVersion}
}

// HasRow is false of attempts that have no row in the table delivery, or none yet: of a
// question, a ping and a challenge.
func (t *Target) HasRow() bool { return t.ID != uuid.Nil && !t.Question }

// IsRetry is true of a delivery that has failed before in its round.
func (t *Target) IsRetry() bool { return t.Attempts > 0 }

// Number is the number of the next attempt: manual ones are counted by rounds, the
// automatic ones of a round from 1. Every round but the first begins with a manual
// one, which Attempts counts as well.
func (t *Target) Number() int {
	switch {
	case t.Manual:
		return t.Round - 1
	case t.Round > 1:
		return t.Attempts
	default:
		return t.Attempts + 1
	}
}

// AccessAge is how long ago access was checked for this attempt; false when the last
// check before it was still good. The check counts, not the attempt: otherwise a short
// schedule would never check again.
func (t *Target) AccessAge(now time.Time) (age time.Duration, rechecked bool) {
	if !t.Rechecked {
		return 0, false
	}
	return now.Sub(t.AccessAt), true
}

// In is the time that is so many milliseconds after now; zero where that is past.
func In(now time.Time, ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(ms) * time.Millisecond)
}

// DeactivatedReason says that a subscription is deactivated, and why.
func DeactivatedReason(why string) string {
	return withCause("the subscription is deactivated", why)
}

// UnverifiedReason says that the URL of a subscription is not verified, and why.
func UnverifiedReason(why string) string {
	return withCause("the subscription's URL is not verified", why)
}

func withCause(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
