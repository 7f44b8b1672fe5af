package decide

import (
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/subscription"
)

// Outcome is what became of an event for one subscription. Package delivery documents it.
type Outcome string

// The outcomes that are decided. OutcomeDeliver is a row of the table delivery; the others
// are rows of the table decision, which stores them by these names.
const (
	OutcomeDeliver      Outcome = "deliver"
	OutcomeDenied       Outcome = "denied"
	OutcomeFailed       Outcome = "failed"
	OutcomeFiltered     Outcome = "filtered"
	OutcomeFilterError  Outcome = "filter_error"
	OutcomeGone         Outcome = "gone"
	OutcomeInactive     Outcome = "inactive"
	OutcomeUnanswered   Outcome = "unanswered" // of a question, which is asked now or never
	OutcomeUnresolvable Outcome = "unresolvable"
	OutcomeWaiting      Outcome = "waiting"
)

// Decision is what was decided for one match.
type Decision struct {
	Match

	DeliveryID   uuid.UUID // of a delivery
	Outcome      Outcome
	Reason       string
	Hold         attempt.Hold // of a delivery that is held from its beginning
	OwnerUnknown bool         // counts against the subscription
	Tries        int
	Cause        attempt.Cause // that it waits for without a job
	AtOnce       bool          // it waits because others did not wait for it, and is decided again at once
	AccessAt     time.Time     // when access was checked; zero: never
}

// EndpointKey is the URL that a delivery goes to.
func (d *Decision) EndpointKey() attempt.EndpointKey {
	return attempt.EndpointKey{SubscriptionID: d.Subscription.ID, URLVersion: d.Subscription.URLVersion}
}

// AccessAge is the age of the answer about access in milliseconds, rounded up. It is 0 if
// nobody was asked: then it does not matter.
func (d *Decision) AccessAge() int64 {
	if d.AccessAt.IsZero() {
		return 0
	}
	return time.Since(d.AccessAt).Milliseconds() + 1
}

// set enters what was decided.
func (d *Decision) set(outcome Outcome, reason string) { d.Outcome, d.Reason = outcome, reason }

// InactiveReason is why no deliveries are made for a subscription in a state; "" if they
// are.
func InactiveReason(state subscription.State, why string) string {
	switch state {
	case subscription.StateDeactivated:
		return attempt.DeactivatedReason(why)
	case subscription.StatePendingVerification:
		return attempt.UnverifiedReason(why)
	default:
		return ""
	}
}
