package delivery

import (
	"context"

	"github.com/riverhook/riverhook/internal/store"
)

// mayExplain are the subscriptions of an intent, at the sites of the explanation and those
// for which something was recorded, that the principal may see.
func (v *View) mayExplain(ctx context.Context, x *Explanation) ([]string, error) {
	ids, err := v.store.ExplainCandidates(ctx, &store.ExplainCandidatesParams{IntentID: x.Intent.Key, Sites: x.siteTexts()})
	if err != nil {
		return nil, err
	}
	return v.shownOf(ctx, ids)
}

// forOwner leaves out what is for operators, of an explanation that has no lines but
// those of its owner.
func (x *Explanation) forOwner() {
	told, concerned := false, false
	for i := range x.Subscriptions {
		s := &x.Subscriptions[i]
		s.Cause = nil
		told = told || s.DeliveryID != nil
		concerned = concerned || s.Outcome != DecisionNotMatched
	}
	x.Sites = nil
	if x.SitesError != "" {
		x.SitesError = "the sites could not be read"
	}
	switch {
	case !concerned:
		x.Subscriptions = nil
		return
	case told:
		x.Intent.Attributes, x.Intent.DataSHA256 = nil, ""
		if x.Intent.Reason != "" {
			x.Intent.Reason = referring(classUnprocessed, x.Intent.ID)
		}
	default:
		x.Intent = IntentRecord{ID: x.Intent.ID}
	}
	lines := x.Subscriptions
	x.Subscriptions = nil
	for _, s := range lines {
		switch {
		case s.DeliveryID != nil || told && s.Live: // it may see the event
		case s.Outcome == DecisionNotMatched:
			continue
		case s.Live:
			s.Why = string(s.Outcome) + ": " + s.reason // how far the expansion has come
		default:
			s.Why = ownersDecision(s.Outcome, s.reason, x.Intent.ID, s.SubscriptionID)
			s.MatchedSite = ""
			s.MatchedPattern = ""
			s.Attempts = 0
		}
		s.reason = ""
		x.Subscriptions = append(x.Subscriptions, s)
	}
}

func (x *Explanation) siteTexts() []string {
	sites := make([]string, len(x.Sites))
	for i, s := range x.Sites {
		sites[i] = string(s.Site)
	}
	return sites
}
