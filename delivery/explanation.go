package delivery

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
)

// DecisionOutcome is what became of an intent for one subscription: the state of
// its delivery, or why there is none.
type DecisionOutcome = decide.Outcome

// The outcomes of a decision. The first five are those of a delivery.
const (
	DecisionCancelled DecisionOutcome = DecisionOutcome(attempt.StateCancelled) // the delivery, or the expansion before it, was cancelled
	DecisionDelivered DecisionOutcome = DecisionOutcome(attempt.StateDelivered) // the endpoint answered 2xx
	DecisionExhausted DecisionOutcome = DecisionOutcome(attempt.StateExhausted) // every attempt has failed
	DecisionExpired   DecisionOutcome = DecisionOutcome(attempt.StateExpired)   // the delivery was held for too long
	DecisionPending   DecisionOutcome = DecisionOutcome(attempt.StatePending)   // the delivery goes on

	DecisionDenied       DecisionOutcome = decide.OutcomeDenied       // the owner may not see the resource
	DecisionFailed       DecisionOutcome = decide.OutcomeFailed       // there is nothing to send, or the expansion failed
	DecisionFiltered     DecisionOutcome = decide.OutcomeFiltered     // the filter of the subscription is false of it
	DecisionFilterError  DecisionOutcome = decide.OutcomeFilterError  // the filter of the subscription failed
	DecisionGone         DecisionOutcome = decide.OutcomeGone         // the resource is gone
	DecisionInactive     DecisionOutcome = decide.OutcomeInactive     // the subscription was deactivated, deleted or not verified
	DecisionNotExpanded  DecisionOutcome = "not_expanded"             // the expansion of the intent has not come here yet
	DecisionNotMatched   DecisionOutcome = "not_matched"              // the subscription does not, or did not, receive such events
	DecisionUnanswered   DecisionOutcome = decide.OutcomeUnanswered   // a gate could not be asked
	DecisionUnresolvable DecisionOutcome = decide.OutcomeUnresolvable // the owner is unknown
	DecisionWaiting      DecisionOutcome = decide.OutcomeWaiting      // cannot be decided yet: it is tried again, or is held for a cause
)

// Explanation says what became of an intent for every subscription that was
// considered: those at the sites that count.
type Explanation struct {
	Intent        IntentRecord    `json:"intent"`
	Sites         []ExplainedSite `json:"sites,omitempty"`       // those that count now: the resource's chain, then what the active site adds
	Subscriptions []Explained     `json:"subscriptions"`         // those recorded first, then those that were not told; each by id
	Truncated     bool            `json:"truncated,omitempty"`   // there are more subscriptions than are listed
	SitesError    string          `json:"sites_error,omitempty"` // the tree could not say which sites count; only what was recorded is listed
}

// ExplainedSite is a site whose subscriptions count.
type ExplainedSite struct {
	Site hierarchy.Path `json:"site"`
	Why  string         `json:"why"`
}

// Explained is what became of an intent for one subscription.
type Explained struct {
	SubscriptionID uuid.UUID       `json:"subscription_id"`
	Name           string          `json:"name,omitempty"`
	URL            string          `json:"url"`             // without user, password and query
	Owner          string          `json:"owner,omitempty"` // "" for an operator's subscription
	Site           hierarchy.Path  `json:"site"`            // where the subscription is now
	Outcome        DecisionOutcome `json:"outcome"`
	Why            string          `json:"why"`            // in words
	Live           bool            `json:"live,omitempty"` // nothing was recorded: judged by the subscription as it is now

	MatchedSite    hierarchy.Path `json:"matched_site,omitempty"`
	MatchedPattern string         `json:"matched_pattern,omitempty"`
	DeliveryID     *uuid.UUID     `json:"delivery_id,omitempty"` // nil: no delivery
	Hold           Hold           `json:"hold,omitempty"`
	Attempts       int            `json:"attempts"`         // requests in all rounds; for a decision without delivery: failed tries to make it
	DueAt          *time.Time     `json:"due_at,omitempty"` // of the next attempt or try; nil if it is held or ended
	Cause          *Cause         `json:"cause,omitempty"`  // of a delivery or a decision that is held for one; for operators

	reason string // as it is recorded
}

// String returns the explanation as lines for people: the intent, the sites, and
// a line for each subscription.
func (x *Explanation) String() string {
	var b strings.Builder
	in := &x.Intent
	fmt.Fprintf(&b, "intent %s", in.ID)
	if in.Type != "" { // else the reader may not know what it is
		b.WriteString(": " + in.summary())
	}
	b.WriteByte('\n')
	for _, site := range x.Sites {
		fmt.Fprintf(&b, "  site %s\n", site.Why)
	}
	if x.SitesError != "" {
		fmt.Fprintf(&b, "  sites unknown: %s\n", x.SitesError)
	}
	for _, s := range x.Subscriptions {
		fmt.Fprintf(&b, "  %-12s %s: %s\n", s.Outcome, s.label(), s.Why)
	}
	if x.Truncated {
		b.WriteString("  and more subscriptions\n")
	}
	return b.String()
}

// summary says what an intent is and where it stands.
func (in *IntentRecord) summary() string {
	var b strings.Builder
	b.WriteString(in.Type)
	if in.ResourceKind != "" {
		fmt.Fprintf(&b, " of %s:%s", in.ResourceKind, in.ResourceID)
	}
	fmt.Fprintf(&b, " at %s", in.Site)
	if in.ActiveSite != "" {
		fmt.Fprintf(&b, ", from %s", in.ActiveSite)
	}
	if in.Channel != "" {
		fmt.Fprintf(&b, ", on channel %q", in.Channel)
	}
	if ofSite := cmp.Or(strings.TrimPrefix(sitetree.FirstSegment(string(in.Site)), "/"), "/"); in.Share != ofSite {
		fmt.Fprintf(&b, ", share %s", in.Share)
	}
	fmt.Fprintf(&b, ": %s", in.State)
	if in.Reason != "" {
		fmt.Fprintf(&b, ": %s", in.Reason)
	}
	return b.String()
}

func (s *Explained) label() string {
	if s.Name != "" {
		return fmt.Sprintf("%q (%s)", s.Name, s.URL)
	}
	return fmt.Sprintf("%s (%s)", s.SubscriptionID, s.URL)
}
