package delivery

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// The classes of reasons, which owners may know.
const (
	classDenied      = "access was denied"
	classUnknown     = "the owner is unknown"
	classUndecided   = "access could not be decided"
	classNoMessage   = "the message could not be made"
	classFilter      = "the filter failed"
	classUnprocessed = "it could not be processed"
)

var reasonClasses = []struct{ prefix, class string }{
	{callbacks.ReasonDenied, classDenied},
	{callbacks.ReasonUnresolvable, classUnknown},
	{callbacks.ReasonUndecided, classUndecided},
	{callbacks.ReasonNoChecker, classUndecided},
	{callbacks.ReasonNoSite, classUndecided},
	{callbacks.ReasonExternalizer, classNoMessage},
	{callbacks.ReasonDialect, classNoMessage},
	{callbacks.ReasonLargeData, classNoMessage},
	{callbacks.ReasonLargeMessage, classNoMessage},
	{callbacks.ReasonNoFilter, classFilter},
	{callbacks.ReasonFilter, classFilter},
	{callbacks.ReasonEnded, classUnprocessed},
}

// ownersReason is what an owner may know of the reason of a delivery: all of it, unless
// it says what host code has said.
func ownersReason(reason string, reference fmt.Stringer) string {
	for _, c := range reasonClasses {
		if strings.HasPrefix(reason, c.prefix) {
			return referring(c.class, reference.String())
		}
	}
	return reason
}

func referring(class, reference string) string {
	return fmt.Sprintf("%s (reference %s)", class, reference)
}

// forOwner leaves out what is for the operator alone.
func (d *Delivery) forOwner() { d.Reason, d.Cause = ownersReason(d.Reason, d.ID), nil }

// hideHost leaves out of an attempt what is for the operator alone.
func hideHost(a *Attempt) {
	a.Reason, a.Engine = "", ""
	if strings.HasPrefix(a.Error, callbacks.ReasonDialect) { // the other errors are Riverhook's own words
		a.Error = callbacks.ReasonDialect + referring(classNoMessage, a.DeliveryID.String())
	}
}

// ownersDecision is what an owner may know of why there is no delivery: nothing about the
// event, which it was not allowed to see.
func ownersDecision(outcome DecisionOutcome, reason, intent string, subscription uuid.UUID) string {
	class := classUnprocessed
	switch outcome {
	case DecisionDenied:
		class = classDenied
	case DecisionUnresolvable:
		class = classUnknown
	case DecisionFiltered:
		return string(outcome) + ": the filter is false of it"
	case DecisionFilterError:
		class = classFilter
	case DecisionGone:
		return string(outcome) + ": there is nothing to send any more"
	case DecisionInactive:
		return string(outcome) + ": " + reason // about the subscription alone
	case DecisionNotExpanded:
		return string(outcome) + ": the expansion has not come to it yet"
	default:
		for _, c := range reasonClasses {
			if strings.HasPrefix(reason, c.prefix) {
				class = c.class
			}
		}
	}
	return string(outcome) + ": " + referring(class, intent+" "+subscription.String())
}
